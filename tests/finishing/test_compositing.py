"""Logos in the chain: put onto the picture before it is judged, and never at the price of the picture."""

from dataclasses import replace

from PIL import Image

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.finishing.chain import Piece
from sdxl_lora.finishing.compositing import Composite
from sdxl_lora.finishing.embroidering import Embroider
from sdxl_lora.logos import keeping
from sdxl_lora.request import GenerationRequest, LogoSpec
from tests.logos.marks import PEAK

BARE = Piece(image=Image.new("RGB", (128, 128), (40, 60, 90)), request=GenerationRequest(prompt="a navy cap"))


def placed(at: str) -> Piece:
    spec = LogoSpec.parse(at, hash=keeping.keep(PEAK, "peak.svg").hash, name="peak.svg")
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


def test_embroidery_is_drawn_over_by_the_model_and_stays_as_threads_where_that_fails() -> None:
    sewn = Composite()(placed("0.5,0.5,0.5,embroidered"))
    assert sewn.sewn is not None
    assert sewn.sewn[64, 64] > 0
    assert sewn.sewn[2, 2] == 0
    green = Image.new("RGB", (128, 128), "green")
    assert Embroider(lambda piece: green)(sewn).image is green

    def fails(piece: Piece) -> Image.Image:
        raise ModelUnavailableError("there is no model")

    kept = Embroider(fails)(sewn)
    assert kept.image is sewn.image
    assert kept.notice == "the embroidery was not drawn over by the model: there is no model"
    assert not Embroider(fails).wanted(Composite()(placed("0.5,0.5,0.5")))


def test_a_logo_over_a_print_is_put_on_and_the_doubt_told() -> None:
    shirt = Image.new("RGB", (256, 256), "white")
    shirt.paste((40, 60, 90), (60, 30, 196, 240))
    shirt.paste("#f0d020", (110, 70, 150, 120))
    done = Composite()(replace(placed("0.5,0.4,0.3"), image=shirt))
    assert done.image.tobytes() != shirt.tobytes()
    assert done.notice is not None
    assert "not plain where peak.svg goes" in done.notice
