from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sdxl_lora.editing import consistency
from sdxl_lora.editing.consistency import Verdict
from sdxl_lora.editing.cutout import CutOut
from sdxl_lora.errors import InputError
from tests.editing.photos import NAVY, WALL, garment

RED = (170, 40, 45)


def looks(
    colour: tuple[int, int, int] = NAVY,
    wall: tuple[int, int, int] = WALL,
    *,
    scale: float = 1.0,
    right: int = 0,
    blur: float = 0.0,
    size: tuple[int, int] = (256, 256),
) -> consistency.Look:
    """A T-shirt photographed in one way, with its true cut-out."""
    photo, truth = garment(256, colour, wall)
    mask = Image.fromarray(truth.astype(np.uint8) * 255)
    side = round(256 * scale)
    frame, alpha = Image.new("RGB", size, wall), Image.new("L", size)
    place = ((size[0] - side) // 2 + right, (size[1] - side) // 2)
    frame.paste(photo.resize((side, side), Image.Resampling.LANCZOS), place)
    alpha.paste(mask.resize((side, side)), place)
    frame = frame.filter(ImageFilter.GaussianBlur(blur)) if blur else frame
    product = frame.copy()
    product.putalpha(alpha)
    return consistency.look_at(frame, CutOut(product, "U-2-Net small"))


def check(*odd: consistency.Look, colours: list[tuple[int, int, int] | None] | None = None) -> list[Verdict]:
    """Three alike and then these."""
    all_looks = [looks(), looks(), looks(), *odd]
    return consistency.check(all_looks, [f"{n}.png" for n in range(len(all_looks))], colours)


def test_a_set_that_is_alike_fits() -> None:
    assert all(verdict.fits for verdict in check(looks()))


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"colour": RED}, "garment colour #"),
        ({"wall": (120, 150, 190)}, "background #"),
        ({"scale": 0.7}, "crop: the product is smaller"),
        ({"right": 30}, "crop: the product is 12% of the frame too far right"),
        ({"size": (256, 300)}, "crop: 256x300 px has another shape"),
        ({"blur": 3.0}, "sharpness: "),
    ],
)
def test_what_falls_out_is_named_with_its_reason_and_nothing_else_is(
    odd: dict[str, Any], reason: str
) -> None:
    *others, last = check(looks(**odd))
    assert all(verdict.fits for verdict in others), [verdict.reasons for verdict in others]
    assert any(said.startswith(reason) for said in last.reasons), last.reasons


def test_a_set_in_several_colours_is_held_against_the_colour_that_each_was_to_have() -> None:
    set_of = [looks(), looks(RED), looks((40, 110, 70))]
    names = ["navy.png", "red.png", "green.png"]
    right = consistency.check(set_of, names, [NAVY, RED, (40, 110, 70)])
    assert all(verdict.fits for verdict in right), [verdict.reasons for verdict in right]
    wrong = consistency.check(set_of, names, [NAVY, RED, (230, 200, 40)])
    assert [verdict.fits for verdict in wrong] == [True, True, False]
    assert "from the swatch, #E6C828" in wrong[2].reasons[0]


def test_one_picture_is_no_set() -> None:
    with pytest.raises(InputError, match="at least 2 pictures, and 1 was given"):
        consistency.check([looks()], ["a.png"])


def test_a_picture_with_a_background_among_cut_outs_falls_out() -> None:
    photo, truth = garment(256)
    photo.putalpha(Image.fromarray(truth.astype(np.uint8) * 255))
    bare = consistency.look_at(photo, CutOut(photo, "the picture's own transparency"))
    verdicts = consistency.check([bare, bare, looks()], ["a", "b", "c"])
    assert [verdict.reasons for verdict in verdicts] == [(), (), ("background: the others have none",)]
