"""A photo that a model edited says so in its label, its mark and its signature; a generated picture stays generated."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sdxl_lora import inputs
from sdxl_lora.finishing.chain import Piece
from sdxl_lora.finishing.origin import original, placed, source_type
from sdxl_lora.finishing.watermarking import Watermark
from sdxl_lora.jobs import edits, scenes
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.logos import keeping
from sdxl_lora.provenance import certificate, detection, settings, signing
from sdxl_lora.records import Record
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest, LogoSpec
from sdxl_lora.scoring.card import ScoreCard
from tests.logos.marks import PEAK
from tests.provenance import shared

REQUEST = GenerationRequest(prompt="a cap", seed=3, width=256, height=256)


@pytest.fixture
def studio(home) -> Studio:
    return Studio(home)


@pytest.fixture
def photo(home) -> str:
    return inputs.keep(shared.photo(seed=5)).hash


def kept(studio: Studio, request: GenerationRequest, image: Image.Image | None = None) -> Record:
    piece = Piece(image=image or shared.photo(seed=6), request=request, card=ScoreCard())
    return studio.finish(piece).record


def test_an_edited_photo_is_a_composite_everywhere(studio: Studio, photo: str) -> None:
    record = kept(studio, replace(REQUEST, start_picture=photo, strength=0.5))
    with Image.open(record.path) as image:
        assert f'"{SourceType.COMPOSITE}"' in image.info["XML:com.adobe.xmp"]
        found = detection.look(image)
    assert (found.found, found.kind) == (True, SourceType.COMPOSITE)
    state, manifest = shared.manifest_of(record.path.read_bytes())
    opened, edited, _ = shared.actions(manifest)
    assert (state, opened["action"], edited["action"]) == ("Valid", "c2pa.opened", "c2pa.edited")
    assert edited["digitalSourceType"] == SourceType.COMPOSITE
    assert [one["title"] for one in manifest["ingredients"]] == ["the start picture"]


def test_a_photo_that_came_with_credentials_brings_them(studio: Studio) -> None:
    who = certificate.identity(settings.signing(), studio.home)
    plain = shared.file_of(shared.photo(seed=5), "JPEG")
    camera = signing.sign(plain, "image/jpeg", who, source_type=SourceType.ENHANCED)
    photo = inputs.keep(camera).hash
    record = kept(studio, replace(REQUEST, start_picture=photo, strength=0.5))
    state, manifest = shared.manifest_of(record.path.read_bytes())
    [ingredient] = manifest["ingredients"]
    assert state == "Valid"
    assert ingredient["active_manifest"] == shared.manifest_of(camera, "JPEG")[1]["label"]


def test_what_was_made_from_a_generated_picture_is_generated_and_brings_its_credentials(
    studio: Studio, photo: str
) -> None:
    first = kept(studio, REQUEST)
    second = kept(studio, replace(REQUEST, start_picture=photo, made_from=first.id))
    with Image.open(second.path) as image:
        assert f'"{SourceType.GENERATED}"' in image.info["XML:com.adobe.xmp"]
    _, manifest = shared.manifest_of(second.path.read_bytes())
    [ingredient] = manifest["ingredients"]
    assert ingredient["title"] == f"picture {first.id}"
    assert ingredient["active_manifest"] == shared.manifest_of(first.path.read_bytes())[1]["label"]


def test_however_often_a_photo_is_edited_it_stays_a_composite(studio: Studio, photo: str) -> None:
    first = kept(studio, replace(REQUEST, start_picture=photo))
    second = kept(studio, replace(REQUEST, start_picture=photo, made_from=first.id))
    third = replace(REQUEST, start_picture=photo, made_from=second.id)
    assert source_type(third, studio.store.get) == SourceType.COMPOSITE
    studio.store.delete(first.id)  # nobody knows any more: the photo is assumed
    assert source_type(third, studio.store.get) == SourceType.COMPOSITE
    assert source_type(replace(third, made_from="no such picture"), studio.store.get) == SourceType.COMPOSITE


def test_an_original_that_is_gone_is_left_out_and_the_picture_still_signed(
    studio: Studio, photo: str
) -> None:
    request = replace(REQUEST, start_picture=photo)
    inputs.find(photo).unlink()
    assert original(request, studio.store.get) is None
    state, manifest = shared.manifest_of(kept(studio, request).path.read_bytes())
    assert (state, "ingredients" in manifest) == ("Valid", False)
    assert shared.actions(manifest)[0]["digitalSourceType"] == SourceType.COMPOSITE


def test_pixels_outside_a_mask_stay_bit_for_bit_and_the_mark_is_in_the_new_part(
    studio: Studio, photo: str
) -> None:
    start = np.asarray(inputs.open(photo)).copy()
    drawn = start.copy()
    drawn[40:240, 30:220] = np.asarray(shared.photo(seed=6))[40:240, 30:220]
    mask = Image.new("L", (256, 256))
    ImageDraw.Draw(mask).rectangle((30, 40, 219, 239), fill=255)
    request = replace(REQUEST, start_picture=photo, mask=inputs.keep(mask).hash)
    record = kept(studio, request, Image.fromarray(drawn))
    with Image.open(record.path) as image:
        marked = np.asarray(image.convert("RGB"))
        assert detection.look(image).found
    outside = np.ones((256, 256), bool)
    outside[40:240, 30:220] = False
    assert (marked == start)[outside].all()
    assert (marked != drawn).any()


def test_too_small_a_change_is_not_marked_and_no_mark_is_claimed(studio: Studio, photo: str) -> None:
    drawn = inputs.open(photo).copy()
    drawn.paste((200, 30, 30), (100, 100, 150, 150))
    mask = Image.new("L", (256, 256))
    ImageDraw.Draw(mask).rectangle((100, 100, 149, 149), fill=255)
    request = replace(REQUEST, start_picture=photo, mask=inputs.keep(mask).hash)
    done = Watermark(studio.store.get)(Piece(image=drawn, request=request))
    assert (done.image.tobytes(), done.watermarked) == (drawn.tobytes(), False)
    _, manifest = shared.manifest_of(kept(studio, request, drawn).path.read_bytes())
    assert "c2pa.watermarked.unbound" not in [one["action"] for one in shared.actions(manifest)]


def test_a_product_before_a_scene_and_its_logo_are_in_the_credentials(studio: Studio) -> None:
    who = certificate.identity(settings.signing(), studio.home)
    plain = shared.file_of(shared.photo(seed=5), "JPEG")
    camera = signing.sign(plain, "image/jpeg", who, source_type=SourceType.ENHANCED)
    source = edits.of_bytes(camera, "photo.jpg")
    cut = inputs.open(source.picture).convert("RGBA")
    cut.putalpha(Image.new("L", cut.size, 255))
    scene = scenes.before(source, cut, "a beach", model="mini")
    logo = LogoSpec(hash=keeping.keep(PEAK, "peak.svg").hash, name="peak.svg")
    record = kept(studio, replace(scene, logos=(logo,), seed=3))
    state, manifest = shared.manifest_of(record.path.read_bytes())
    product, mark = manifest["ingredients"]
    assert state == "Valid"
    assert [one["title"] for one in (product, mark)] == ["the product", "the logo peak.svg"]
    assert product["active_manifest"] == shared.manifest_of(camera, "JPEG")[1]["label"]
    assert [one["action"] for one in shared.actions(manifest)].count("c2pa.placed") == 2


def test_a_product_cut_out_of_a_picture_of_the_studio_names_that_picture(studio: Studio, photo: str) -> None:
    first = kept(studio, REQUEST)
    second = kept(studio, replace(REQUEST, product=photo, made_from=first.id))
    _, manifest = shared.manifest_of(second.path.read_bytes())
    [ingredient] = manifest["ingredients"]
    assert (ingredient["title"], ingredient["relationship"]) == (f"picture {first.id}", "componentOf")
    assert original(replace(REQUEST, product=photo), studio.store.get) is None
    assert placed(replace(REQUEST, product="ab" * 32), studio.store.get) == ()  # gone
