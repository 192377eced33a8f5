"""An edit in words becomes a request that says everything, whatever the picture came from."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.errors import ImageError, InputError, PromptError
from sdxl_lora.jobs import edits
from sdxl_lora.records import Record, Store
from sdxl_lora.request import MAX_SEED
from tests.records.shared import request


def add(store: Store, prompt: str, **fields: Any) -> Record:
    """A recorded picture that is large enough to be edited."""
    picture = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    return store.add(picture, request=request(prompt, **fields))


def encoded(size: tuple[int, int] = (80, 64)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("prompt", "where"),
    [
        ("a navy hoodie on a white background", "on a white background"),
        ("a red summer dress hanging in a forest", "in a forest"),
        ("a green t-shirt on a marble table, soft light", "on a marble table"),
        ("a black jacket with a star logo on the chest, beige wall, 85mm lens", "beige wall"),
        ("a black jacket with a star logo on the chest", "plain background"),
        ("", "plain background"),
    ],
)
def test_what_stands_around_a_product_is_found_in_its_words(prompt: str, where: str) -> None:
    assert edits.surroundings(prompt) == where


def test_a_widened_picture_asks_for_its_surroundings_only_and_keeps_the_picture(home) -> None:
    with Store(home) as store:
        source = edits.of_record(add(store, "a navy hoodie in a forest", model="mini"))
    widened = edits.widen(source, 2.0)
    assert (widened.prompt, widened.made_from) == ("in a forest", source.made_from)
    canvas = inputs.open(widened.start_picture)
    assert canvas.width == source.width * 2 or canvas.height * 2 == canvas.width
    mask = np.asarray(inputs.open(widened.mask))
    assert (mask == 0).sum() == source.width * source.height


def test_a_variation_keeps_words_template_and_model_and_takes_a_new_seed(home) -> None:
    with Store(home) as store:
        record = add(store, "a navy hoodie", model="mini", template="jacket", slots=(("colour", "navy"),))
    same = edits.vary(edits.of_record(record), strength=0.35)
    assert (same.template, same.seed, same.strength) == ("jacket", None, 0.35)
    other = edits.vary(edits.of_record(record), "a red hoodie")
    assert (other.prompt, other.template) == ("a red hoodie", "")


def test_words_of_a_picture_are_meant_as_they_stand(home) -> None:
    with Store(home) as store:
        record = add(store, "a {navy|red} hoodie")
    assert edits.of_record(record).prompt == r"a \{navy|red\} hoodie"


def test_a_model_of_another_machine_is_not_asked_for(home) -> None:
    with Store(home) as store:
        record = add(store, "a hoodie", model="nobody/knows-it", seed=MAX_SEED)
    assert edits.vary(edits.of_record(record)).model == "auto"


def test_a_photo_without_words_needs_some() -> None:
    source = edits.of_bytes(encoded(), "photo.png")
    with pytest.raises(PromptError, match="say what the picture should show"):
        edits.vary(source)
    assert edits.vary(source, "a hoodie").start_picture == source.picture


def test_garment_and_background_are_each_others_rest() -> None:
    picture = Image.new("RGB", (160, 160), "white")
    picture.paste((20, 40, 120), (40, 30, 120, 140))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    source = edits.of_bytes(buffer.getvalue(), "photo.png")
    garment, how = edits.part_mask(source, "garment")
    background, _ = edits.part_mask(source, "background")
    assert how.startswith("found by ")
    assert garment.getpixel((80, 80)) == 255
    assert garment.getpixel((5, 5)) == 0
    assert (np.asarray(garment) == 255 - np.asarray(background)).all()
    with pytest.raises(InputError, match="say garment or background"):
        edits.part_mask(source, "hat")


def test_a_grey_mask_is_cut_at_half_and_one_of_another_size_refused() -> None:
    source = edits.of_bytes(encoded(), "photo.png")
    grey = Image.fromarray(np.tile(np.linspace(0, 255, 80, dtype=np.uint8), (64, 1)))
    mask = np.asarray(inputs.open(edits.change_part(source, grey, "a hoodie").mask))
    assert set(np.unique(mask)) == {0, 255}
    assert (mask > 0).sum() == (np.asarray(grey) >= 128).sum()
    for wrong in (Image.new("L", (64, 80), 255), Image.new("L", (80, 64))):
        with pytest.raises(ImageError, match="the mask is"):
            edits.change_part(source, wrong, "a hoodie")
