"""One product in several colours and scenes: what is asked of the studio for it, and which pictures fall out."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora.errors import ImageError, InputError, RequestError
from sdxl_lora.jobs import product_sets
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.product_sets import Member, Wish
from sdxl_lora.jobs.studio import Studio
from tests.editing.photos import garment

COLOURS = ("#C3272B", "#2E6F40")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "shirt.png"
    garment()[0].save(path)
    return path


@pytest.fixture
def product(photo: Path) -> str:
    return product_sets.product_of(photo)[0]


def made(home: Path, members: list[Member]) -> list[tuple[Member, Path]]:
    studio = Studio(home)
    found = []
    for member in members:
        [done] = [event for event in studio.run(member.request) if isinstance(event, Recorded)]
        assert done.notice is None or "GrabCut" not in done.notice
        found.append((member, done.record.path))
    return found


def test_every_colour_stands_before_every_background_in_one_framing_from_one_seed(product: str) -> None:
    wish = Wish(colours=COLOURS, scenes=("white", "in a forest"), side=128, seed=7)
    members = product_sets.members(product, "shirt", wish)
    assert [member.name for member in members] == [
        "shirt-C3272B-white",
        "shirt-2E6F40-white",
        "shirt-C3272B-in-a-forest",
        "shirt-2E6F40-in-a-forest",
    ]
    requests = [member.request for member in members]
    assert {(r.seed, r.fill, r.product) for r in requests} == {(7, 85, product)}
    assert [r.is_drawn for r in requests] == [False, False, True, True]
    drawn = requests[2]
    assert (drawn.width or 0) * drawn.upscale == 128


def test_a_set_from_one_photo_belongs_together_and_one_of_another_kind_falls_out(
    home: Path, product: str, photo: Path
) -> None:
    wish = Wish(colours=COLOURS, scenes=("white",), side=256)
    pictures = made(home, product_sets.members(product, "shirt", wish))
    with Image.open(pictures[0][1]) as image:
        assert (image.size, image.convert("RGB").getpixel((2, 2))) == ((256, 256), (255, 255, 255))
    assert all(verdict.fits for verdict in product_sets.check(pictures))
    navy = replace(pictures[0][0], name="photo", colour=(0xC3, 0x27, 0x2B))
    *_, odd = product_sets.check([*pictures, (navy, photo)])
    assert {reason.split(":")[0].split(" ")[0] for reason in odd.reasons} >= {"garment", "background"}


def test_a_scene_is_drawn_and_the_product_stands_in_front_of_it(home: Path, product: str) -> None:
    [member] = product_sets.members(product, "shirt", Wish(scenes=("a street",), side=128))
    [(_, path)] = made(home, [member])
    with Image.open(path) as image:
        assert image.size == (128, 128)
        pixel = image.convert("RGB").getpixel((64, 64))
    assert isinstance(pixel, tuple)
    assert abs(pixel[2] - 68) < 25  # navy


@pytest.mark.parametrize(
    ("wish", "error", "message"),
    [
        (Wish(colours=("navy",)), InputError, "'navy' is no colour"),
        (Wish(scenes=("",)), InputError, "the background is empty"),
        (Wish(side=10_000), RequestError, "a frame of 10000 px cannot be made"),
        (Wish(fill=300), RequestError, "fill 300 is not between 10 and 100"),
        (Wish(colours=COLOURS * 40), RequestError, "that is 80 pictures; a set has at most 64"),
    ],
)
def test_a_set_that_cannot_be_made_is_one_line(
    product: str, wish: Wish, error: type[InputError], message: str
) -> None:
    with pytest.raises(error, match=message):
        product_sets.members(product, "shirt", wish)


def test_a_file_that_is_no_picture_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"a\.png cannot be read"):
        product_sets.product_of(tmp_path / "a.png")
    with pytest.raises(ImageError, match="cannot be opened"):
        product_sets.look_at(tmp_path / "b.png")
