from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from sdxl_lora.editing import cutout, matting, weights
from sdxl_lora.editing.cutout import cut_out
from sdxl_lora.errors import ImageError, ModelUnavailableError
from tests.editing.photos import garment


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The weights of the matting network lie in an empty folder."""
    matting._session.cache_clear()
    monkeypatch.setattr(weights, "files", lambda _package: tmp_path)
    (tmp_path / "assets" / "editing").mkdir(parents=True)
    return tmp_path / "assets" / "editing" / weights.U2NETP.filename


def overlap(image: Image.Image, truth: np.ndarray) -> float:
    """Intersection over union of what is at least half there."""
    found = np.asarray(image.getchannel("A")) >= 128
    return float((found & truth).sum() / (found | truth).sum())


def test_a_garment_is_cut_out_where_it_is_and_the_network_did_it() -> None:
    photo, truth = garment()
    found = cut_out(photo)
    assert (found.method, found.reason) == ("U-2-Net small", "")
    assert found.image.mode == "RGBA"
    assert overlap(found.image, truth) > 0.96


def test_pixels_of_the_product_are_those_of_the_photo() -> None:
    photo, _ = garment()
    pixels = np.asarray(cut_out(photo).image)
    whole = pixels[..., 3] == 255
    assert whole.mean() > 0.15
    assert (pixels[whole][:, :3] == np.asarray(photo)[whole]).all()


def test_no_halo_of_a_white_background_is_left_around_a_dark_garment() -> None:
    photo, _ = garment(640, (25, 25, 28), (250, 250, 250))
    found = cut_out(photo).image
    pixels = np.asarray(found).astype(float)
    edge = (pixels[..., 3] > 25) & (pixels[..., 3] < 230)
    assert edge.sum() > 100
    assert pixels[edge][:, :3].mean() < 80  # the photo's own pixels there are a mixture with 250
    assert np.asarray(photo)[edge].mean() > 100


def on_wall(solid: np.ndarray) -> np.ndarray:
    """Navy on a grey wall [height, width, 3]."""
    return np.where(solid[..., None], (31, 42, 68), (200, 196, 190)).astype(np.uint8)


def test_specks_beside_the_product_are_left_out_and_pinholes_in_it_are_filled() -> None:
    solid = np.zeros((200, 200), bool)
    solid[50:150, 50:150] = True
    solid[10:14, 10:14] = True
    solid[100:103, 100:103] = False
    found = cutout._without_small(solid, on_wall(solid))
    assert not found[:40].any()
    assert found[50:150, 50:150].all()


def test_both_shoes_of_a_pair_stay_and_the_gap_between_legs_stays_open() -> None:
    solid = np.zeros((200, 200), bool)
    solid[50:150, 20:80] = solid[60:150, 120:180] = True
    solid[80:150, 40:60] = False
    assert (cutout._without_small(solid, on_wall(solid)) == solid).all()


def test_a_hole_is_open_where_the_wall_is_seen_through_it_and_a_print_where_it_is_not() -> None:
    solid = np.zeros((200, 200), bool)
    solid[20:180, 20:180] = True
    solid[40:80, 40:80] = solid[120:160, 120:160] = False
    pixels = on_wall(solid)
    pixels[120:160, 120:160] = (140, 30, 40)
    found = cutout._without_small(solid, pixels)
    assert not found[41:79, 41:79].any()
    assert found[120:160, 120:160].all()


def test_without_the_network_grabcut_does_it_and_says_so(no_network: Path) -> None:
    photo, truth = garment()
    found = cut_out(photo)
    assert found.method == "GrabCut"
    assert "U-2-Net small is not here" in found.reason
    assert overlap(found.image, truth) > 0.95


def test_a_damaged_network_is_not_run(no_network: Path) -> None:
    no_network.write_bytes(b"not what was published")
    with pytest.raises(ModelUnavailableError, match="damaged"):
        weights.read(weights.U2NETP)
    assert cut_out(garment()[0]).method == "GrabCut"


def test_grabcut_cuts_the_same_way_twice(no_network: Path) -> None:
    photo, _ = garment()
    assert cut_out(photo).image.tobytes() == cut_out(photo).image.tobytes()


def test_a_picture_that_is_cut_out_already_keeps_its_own_edges() -> None:
    photo, truth = garment()
    photo.putalpha(Image.fromarray(truth.astype(np.uint8) * 255))
    found = cut_out(photo)
    assert found.method == "the picture's own transparency"
    assert overlap(found.image, truth) == 1


def test_a_picture_that_is_transparent_all_over_holds_no_product() -> None:
    with pytest.raises(ImageError, match="transparent all over"):
        cut_out(Image.new("RGBA", (64, 64)))


def test_the_box_holds_the_product() -> None:
    photo, truth = garment()
    rows, columns = np.nonzero(truth.any(1))[0], np.nonzero(truth.any(0))[0]
    expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert np.abs(np.subtract(cut_out(photo).box, expected)).max() <= 3


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_picture_of_one_colour_holds_no_product(grey: int) -> None:
    with pytest.raises(ImageError, match="no product was found"):
        cut_out(Image.new("RGB", (320, 200), (grey, grey, grey)))


def test_a_picture_of_one_colour_holds_no_product_for_grabcut_either(no_network: Path) -> None:
    with pytest.raises(ImageError, match="no product was found"):
        cut_out(Image.new("RGB", (64, 64), "red"))


def test_a_picture_of_a_few_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="15x200 px are too few"):
        cut_out(Image.new("RGB", (15, 200)))


@pytest.mark.parametrize("size", [(64, 64), (600, 64), (64, 900)])
def test_small_and_narrow_pictures_are_cut(size: tuple[int, int]) -> None:
    assert cut_out(garment()[0].resize(size)).image.size == size


def test_edges_of_a_large_picture_are_found_at_a_smaller_size_and_its_pixels_stay() -> None:
    photo, truth = garment(600)
    photo = photo.resize((3_000, 3_000), Image.Resampling.NEAREST)
    truth = truth.repeat(5, axis=0).repeat(5, axis=1)
    found = cut_out(photo).image
    assert found.size == photo.size
    assert overlap(found, truth) > 0.96
    pixels = np.asarray(found)
    whole = pixels[..., 3] == 255
    assert (pixels[whole][:, :3] == np.asarray(photo)[whole]).all()


class Fickle:
    """A network that is in doubt of half the product unless it sees the picture in a mirror."""

    def __init__(self, mirrored: float, product: float = 1.0) -> None:
        self.mirrored, self.product, self.looks = mirrored, product, 0

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="picture")]

    get_outputs = get_inputs

    def run(self, _: list[str], pictures: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.looks += 1
        [picture] = pictures.values()
        mirrored = picture[..., :160].mean() < picture[..., 160:].mean()
        matte = np.zeros((1, 1, 320, 320), np.float32)
        matte[..., 80:240, 80:240] = self.product if mirrored else 1.0
        matte[..., 160:240, 80:240] = self.mirrored if mirrored else 0.5
        return [matte]


@pytest.mark.parametrize(
    ("mirrored", "product", "found"), [(1.0, 1.0, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0, None)]
)
def test_where_the_network_is_in_doubt_its_surest_look_counts_unless_that_loses_the_product(
    mirrored: float, product: float, found: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Fickle(mirrored, product)
    monkeypatch.setattr(matting, "_session", lambda: network)
    # brighter on the left, and in the middle of both colours, so that colours say nothing
    picture = np.repeat(np.linspace(200, 60, 320).astype(np.uint8)[None, :, None], 320, axis=0)
    matte = matting.guess(Image.fromarray(np.repeat(picture, 3, axis=2))).matte
    assert network.looks == 3
    assert matte[120, 160] > 0.9
    if found is not None:
        assert matte[200, 160] == pytest.approx(found, abs=0.05)


def test_a_network_that_is_sure_of_nothing_is_asked_again_and_nothing_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Fickle(0.6, 0.6)
    monkeypatch.setattr(network, "run", lambda *_: [np.full((1, 1, 320, 320), 0.6, np.float32)])
    monkeypatch.setattr(matting, "_session", lambda: network)
    assert matting.guess(Image.new("RGB", (96, 128), (90, 90, 90))).matte.shape == (128, 96)


def test_a_network_that_is_sure_looks_once_and_soft_edges_are_no_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Fickle(1.0)
    monkeypatch.setattr(matting, "_session", lambda: network)
    matting.guess(
        Image.fromarray(np.repeat(np.linspace(60, 200, 320).astype(np.uint8)[None, :], 320, axis=0)).convert(
            "RGB"
        )
    )
    assert network.looks == 1
    soft = np.zeros((320, 320), np.float32)
    soft[80:240, 80:240] = 1
    assert matting.doubt(cv2.GaussianBlur(soft, (0, 0), 2)) == 0
    soft[80:160, 80:240] = 0.5
    assert matting.doubt(soft) > 0.5
