"""What a request says of the finished picture's product: its colour, background, place and shadow, or which it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.editing import colour, framing, matting, weights
from sdxl_lora.editing.cutout import cut_out
from sdxl_lora.errors import NotFoundError
from sdxl_lora.finishing import origin
from sdxl_lora.finishing.chain import Chain, Piece
from sdxl_lora.finishing.compositing import Composite
from sdxl_lora.finishing.recolouring import Recolour
from sdxl_lora.finishing.staging import Background
from sdxl_lora.logos import asked, keeping
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest, LogoSpec
from tests.editing.photos import garment
from tests.logos.marks import PEAK

PHOTO, TRUTH = garment()
REQUEST = GenerationRequest(prompt="a navy t-shirt", seed=3)
CHAIN = Chain([Background(), Recolour()])


def finished(**changes: object) -> Piece:
    return CHAIN(Piece(image=PHOTO, request=replace(REQUEST, **changes)))  # type: ignore[arg-type]


def test_white_is_pure_white_and_the_garment_keeps_its_pixels() -> None:
    pixels = np.asarray(finished(background="white").image)
    alpha = np.asarray(cut_out(PHOTO).image.getchannel("A"))
    assert pixels.shape == (320, 320, 3)
    assert (pixels[alpha == 0] == 255).all()
    assert (pixels[alpha == 255] == np.asarray(PHOTO)[alpha == 255]).all()


def test_the_product_is_found_as_it_was_before_its_logo_and_wears_it() -> None:
    spec = LogoSpec.parse("0.5,0.5,0.2", hash=keeping.keep(PEAK, "peak.svg").hash)
    chain = Chain([Composite(), Background()])
    done = chain(Piece(image=PHOTO, request=replace(REQUEST, background="white", logos=(spec,)))).image
    printed, plain = np.asarray(asked.put_on(PHOTO, (spec,))), np.asarray(finished(background="white").image)
    changed = (printed != np.asarray(PHOTO)).any(axis=-1)
    assert changed.any()
    assert (np.asarray(done)[changed] == printed[changed]).all()
    assert (np.asarray(done)[~changed] == plain[~changed]).all()


def test_a_colour_a_kept_picture_and_nothing_can_stand_behind() -> None:
    assert finished(background="#C8E6C9").image.getpixel((2, 2)) == (0xC8, 0xE6, 0xC9)
    street = inputs.keep(Image.new("RGB", (640, 320), (90, 20, 20))).hash
    assert finished(background=street).image.getpixel((2, 2)) == (90, 20, 20)
    bare = finished(background="transparent").image
    assert (bare.mode, bare.getpixel((2, 2))) == ("RGBA", (255, 255, 255, 0))


def test_the_product_fills_what_was_asked_for_and_stands_on_a_shadow() -> None:
    bare = finished(background="transparent", fill=60).image
    left, upper, right, lower = framing.box_of(bare) or (0, 0, 0, 0)
    assert max(right - left, lower - upper) == pytest.approx(0.6 * 320, abs=3)
    shaded = np.asarray(finished(background="white", fill=60, shadow=True).image)
    assert shaded[lower + 1, 160].max() < 220
    assert (shaded[:20] == 255).all()


def test_a_garment_gets_its_colour_and_the_background_stays() -> None:
    done = finished(recolour="#C3272B").image
    assert done.getpixel((2, 2)) == PHOTO.getpixel((2, 2))
    check = colour.compare(cut_out(done).image, (0xC3, 0x27, 0x2B))
    assert check.matches, check.words


def test_a_kept_product_is_put_in_front_of_what_was_drawn_without_a_changed_pixel() -> None:
    product = cut_out(PHOTO).image
    kept = inputs.keep(product, alpha=True).hash
    scene = Image.linear_gradient("L").resize(PHOTO.size).convert("RGB")
    done = CHAIN(Piece(image=scene, request=replace(REQUEST, product=kept)))
    pixels, front = np.asarray(done.image), np.asarray(product)
    whole = front[..., 3] == 255
    assert (pixels[whole] == front[whole][:, :3]).all()
    assert done.image.getpixel((2, 2)) == scene.getpixel((2, 2))


def test_where_no_product_is_found_the_picture_is_kept_as_it_was_and_says_why() -> None:
    plain = Image.new("RGB", (64, 64), "red")
    wish = replace(REQUEST, background="white", recolour="#112233", fill=50)
    done = CHAIN(Piece(image=plain, request=wish))
    assert done.image.tobytes() == plain.tobytes()
    assert done.request == REQUEST
    assert done.notice is not None
    assert "not recoloured: no product was found" in done.notice
    assert "the background is as it was: no product was found" in done.notice


def test_grabcut_is_said_where_the_network_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    matting._session.cache_clear()
    monkeypatch.setattr(weights, "files", lambda _package: tmp_path)
    done = finished(background="white")
    assert done.image.getpixel((2, 2)) == (255, 255, 255)
    assert done.notice is not None
    assert done.notice.startswith("the product was cut out by GrabCut")


def test_nothing_is_done_where_nothing_is_asked_for() -> None:
    assert finished().image is PHOTO


class Known:
    """Records by id, as far as the way back needs them."""

    def __init__(self, **requests: GenerationRequest) -> None:
        self._requests = requests

    def __call__(self, identifier: str) -> "Known":
        if identifier not in self._requests:
            raise NotFoundError("deleted")
        self.request = self._requests[identifier]
        return self


PHOTOGRAPHED = replace(REQUEST, start_picture="ab" * 32)
FINISHED = replace(PHOTOGRAPHED, strength=0.0)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (REQUEST, SourceType.GENERATED),
        (replace(REQUEST, background="white"), SourceType.GENERATED),
        (replace(REQUEST, product="ab" * 32), SourceType.COMPOSITE),
        (PHOTOGRAPHED, SourceType.COMPOSITE),
        (FINISHED, SourceType.ENHANCED),
        (replace(FINISHED, made_from="finished"), SourceType.ENHANCED),
        (replace(FINISHED, made_from="varied"), SourceType.COMPOSITE),
        (replace(PHOTOGRAPHED, made_from="finished"), SourceType.COMPOSITE),
        (replace(FINISHED, made_from="drawn"), SourceType.GENERATED),
        (replace(FINISHED, made_from="deleted"), SourceType.COMPOSITE),
        (replace(FINISHED, made_from="circle"), SourceType.GENERATED),
    ],
)
def test_a_photo_that_was_only_finished_is_not_said_to_be_drawn(
    request_: GenerationRequest, kind: SourceType
) -> None:
    known = Known(
        drawn=REQUEST,
        finished=FINISHED,
        varied=PHOTOGRAPHED,
        circle=replace(FINISHED, made_from="circle"),
    )
    assert origin.source_type(request_, known) is kind  # type: ignore[arg-type]
