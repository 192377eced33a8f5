"""Logos in the chain: put onto the picture before it is judged, and never at the price of the picture."""

from dataclasses import replace

from PIL import Image

from sdxl_lora.finishing.chain import Piece
from sdxl_lora.finishing.compositing import Composite
from sdxl_lora.logos import asked
from sdxl_lora.request import GenerationRequest, LogoSpec
from tests.logos.marks import PEAK

BARE = Piece(image=Image.new("RGB", (128, 128), (40, 60, 90)), request=GenerationRequest(prompt="a navy cap"))


def placed(at: str) -> Piece:
    spec = LogoSpec.parse(at, hash=asked.keep(PEAK, "peak.svg").hash, name="peak.svg")
    return replace(BARE, request=replace(BARE.request, logos=(spec,)))


def test_a_logo_is_put_on_where_the_request_places_one() -> None:
    assert not Composite().wanted(BARE)
    piece = placed("0.5,0.5,0.5")
    assert Composite().wanted(piece)
    done = Composite()(piece)
    assert done.notice is None
    assert done.image.getpixel((60, 75)) == (200, 16, 46)
    assert done.image.getpixel((5, 5)) == (40, 60, 90)


def test_a_logo_that_is_only_expected_is_not_drawn() -> None:
    assert not Composite().wanted(placed("expected"))


def test_a_picture_on_which_it_cannot_be_placed_is_kept_and_says_why() -> None:
    done = Composite()(placed("left-sleeve"))
    assert done.image is BARE.image
    assert done.notice is not None
    assert done.notice.startswith("the picture is without its logo: no ")
