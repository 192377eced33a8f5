from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.editing import upscale as upscaling
from sdxl_lora.editing import weights
from sdxl_lora.editing.upscale import upscale
from sdxl_lora.errors import ImageError, ModelUnavailableError


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Part of a shipped picture, 192 px."""
    with Image.open(Path(upscaling.__file__).parents[1] / "assets" / "examples" / "hoodie.jpg") as image:
        return image.convert("RGB").resize((192, 192), Image.Resampling.LANCZOS)


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.asarray(one, float) - np.asarray(other, float)
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def test_twice_as_large_is_nearer_to_the_original_than_lanczos(photo: Image.Image) -> None:
    small = photo.resize((96, 96), Image.Resampling.BICUBIC)
    ours, lanczos = upscale(small, 2), small.resize(photo.size, Image.Resampling.LANCZOS)
    assert ours.size == photo.size
    assert psnr(ours, photo) > psnr(lanczos, photo) + 1


@pytest.mark.parametrize("size", [(1, 1), (33, 7), (64, 48)])
def test_every_size_and_both_factors_come_out_right(size: tuple[int, int]) -> None:
    picture = Image.linear_gradient("L").convert("RGB").resize(size)
    assert [upscale(picture, n).size for n in (2, 4)] == [(n * size[0], n * size[1]) for n in (2, 4)]


def test_tiles_leave_no_seams(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    small = photo.resize((80, 70))
    whole = np.asarray(upscale(small, 2), int)
    monkeypatch.setattr(upscaling, "TILE", 32)
    assert np.abs(np.asarray(upscale(small, 2), int) - whole).max() <= 1


def test_colours_of_plain_areas_stay() -> None:
    for colour in ((255, 255, 255), (0, 0, 0), (31, 42, 68)):
        found = np.asarray(upscale(Image.new("RGB", (40, 40), colour), 2), int)
        assert np.abs(found - colour).max() <= 2


def test_alpha_is_kept_and_no_edge_takes_on_the_hidden_colour(photo: Image.Image) -> None:
    cut = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    cut.paste((20, 20, 24, 255), (16, 16, 48, 48))
    found = np.asarray(upscale(cut, 4), int)
    assert found.shape == (256, 256, 4)
    assert found[128, 128, 3] == 255
    assert found[8, 8, 3] == 0
    assert found[found[..., 3] > 128][:, :3].max() < 40


def test_a_factor_that_is_not_offered_is_refused() -> None:
    with pytest.raises(ImageError, match="2 or 4 times as large, not 3"):
        upscale(Image.new("RGB", (8, 8)), 3)


def test_a_result_that_would_not_fit_is_refused_before_any_work() -> None:
    with pytest.raises(ImageError, match="20000x20000 px; at most 50 megapixels"):
        upscale(Image.new("RGB", (5_000, 5_000)), 4)


def test_a_damaged_network_is_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "assets" / "editing"
    folder.mkdir(parents=True)
    (folder / weights.UPCONV_7_PHOTO.filename).write_bytes(b"x")
    monkeypatch.setattr(weights, "files", lambda _package: tmp_path)
    upscaling._network.cache_clear()
    with pytest.raises(ModelUnavailableError, match="damaged"):
        upscale(Image.new("RGB", (8, 8)), 2)
