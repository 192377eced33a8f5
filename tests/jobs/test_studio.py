"""One request becomes pictures that are scored and kept."""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.errors import Cancelled, InputError, StorageError, UnknownNameError
from sdxl_lora.generation import PictureDone, Started, StepDone
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.logos import keeping
from sdxl_lora.records import metadata
from sdxl_lora.request import GenerationRequest, LogoSpec
from sdxl_lora.scoring.card import ScoreCard
from tests.editing.photos import garment
from tests.logos.marks import PEAK

REQUEST = GenerationRequest(prompt="a navy jacket with a white star logo", seed=7, count=2)


class NoNumber:
    """A scorer that cannot say."""

    key, name = "clip", "silent scorer"

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        return [math.nan] * len(images)


def recorded(studio: Studio, request: GenerationRequest) -> list[Recorded]:
    return [event for event in studio.run(request, session="tab") if isinstance(event, Recorded)]


def test_every_picture_is_recorded_right_after_it_is_done(home: Path) -> None:
    kinds = [type(event) for event in Studio(home).run(REQUEST)]
    assert kinds[0] is Started
    assert [kind for kind in kinds if kind is not StepDone][1:] == [PictureDone, Recorded] * 2


def test_a_record_holds_the_request_of_its_one_picture_with_everything_decided(home: Path) -> None:
    studio = Studio(home)
    second = recorded(studio, REQUEST)[1]
    assert second.index == 1
    assert second.record == studio.store.get(second.record.id)
    assert second.record.session == "tab"
    request = second.record.request
    assert (request.seed, request.count, request.model, request.steps) == (8, 1, "mini", 2)
    assert metadata.read_request(second.record.path) == request


def test_the_second_picture_made_alone_from_its_record_is_the_same(home: Path) -> None:
    studio = Studio(home)
    second = recorded(studio, REQUEST)[1].record
    again = recorded(studio, second.request)[0].record
    with Image.open(second.path) as first_time, Image.open(again.path) as second_time:
        assert first_time.tobytes() == second_time.tobytes()


def test_an_enlarged_picture_is_recorded_at_its_size_with_the_request_that_makes_it_again(home: Path) -> None:
    studio = Studio(home)
    small, large = (recorded(studio, replace(REQUEST, count=1, upscale=n))[0].record for n in (1, 4))
    assert (large.width, large.height) == (4 * small.width, 4 * small.height)
    request = metadata.read_request(large.path)
    assert (request.upscale, request.width) == (4, small.width)
    with Image.open(recorded(studio, request)[0].record.path) as again, Image.open(large.path) as first:
        assert again.tobytes() == first.tobytes()


def test_a_picture_is_scored_with_the_words_that_can_be_seen(home: Path) -> None:
    prompt = "outer, Northpeak Parka, a photography of a navy jacket, 8K, ultra-detailed"
    card = recorded(Studio(home), GenerationRequest(prompt=prompt, seed=1))[0].record.card
    assert (card.scorer, card.text) == ("mini-CLIP cosine", "a photography of a navy jacket")
    assert -1 <= card.score <= 1


def test_without_a_scorer_the_picture_is_kept_and_the_reason_told(
    home: Path, tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_sdxl))  # a model without clip/
    event = recorded(Studio(home), GenerationRequest(prompt="a jacket", steps=2))[0]
    assert event.record.card == ScoreCard()
    assert event.unscored is not None
    assert "clip" in event.unscored


def test_a_scorer_that_gives_no_number_leaves_the_picture_unscored(home: Path) -> None:
    event = recorded(Studio(home, scorer=NoNumber), GenerationRequest(prompt="a jacket"))[0]
    assert event.record.card == ScoreCard()
    assert event.unscored == "silent scorer gave no number"


def test_cancelling_keeps_the_pictures_that_are_done(home: Path) -> None:
    studio, cancel = Studio(home), threading.Event()
    many = replace(REQUEST, count=40)

    def cancel_after_the_first_picture() -> None:
        for event in studio.run(many, cancel=cancel):
            if isinstance(event, Recorded):
                cancel.set()

    with pytest.raises(Cancelled):
        cancel_after_the_first_picture()
    assert 1 <= studio.store.count() < many.count


def test_an_unknown_model_is_an_error_before_anything_is_made(home: Path) -> None:
    studio = Studio(home)
    with pytest.raises(UnknownNameError, match="did you mean 'mini'"):
        list(studio.run(GenerationRequest(prompt="a jacket", model="minni")))
    assert studio.store.count() == 0


def test_a_data_folder_that_cannot_be_used_is_a_storage_error(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        Studio(home)


def test_a_photo_is_finished_without_a_model_and_recorded_with_what_was_done(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdxl_lora.jobs.studio.load", lambda _config: pytest.fail("a model was loaded"))
    photo, _ = garment()
    start = inputs.keep(photo).hash
    wish = GenerationRequest(
        prompt="a navy t-shirt", start_picture=start, strength=0.0, background="white", upscale=2, seed=1
    )
    [done] = recorded(Studio(home), wish)
    assert (done.record.width, done.record.height) == (640, 640)
    assert not done.record.card.scored
    with Image.open(done.record.path) as kept:
        assert kept.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert metadata.read_request(done.record.path).background == "white"
    assert b"algorithmicallyEnhanced" in done.record.path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fill": 85}, "fill needs a new background; say which"),
        ({"shadow": True}, "shadow needs a new background"),
        ({"product": "ab" * 32}, "is not in"),
        ({"background": "cd" * 32}, "is not in"),
    ],
)
def test_a_finish_that_cannot_be_meant_is_one_line_before_anything_is_drawn(
    home: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        next(Studio(home).run(replace(REQUEST, **changes)))


def test_an_embroidered_logo_is_drawn_over_by_the_model_and_the_picture_says_so(home: Path) -> None:
    sewn = LogoSpec.parse(
        "0.5,0.5,0.5,embroidered", hash=keeping.keep(PEAK, "peak.svg").hash, name="peak.svg"
    )
    printed = replace(sewn, look="print")
    pictures = {}
    for spec in (sewn, printed):
        [done] = recorded(Studio(home), replace(REQUEST, count=1, logos=(spec,)))
        assert done.notice is not None
        assert "not plain" in done.notice  # the tiny model draws noise; nothing else is wrong
        assert metadata.read_request(done.record.path).logos == (spec,)
        pictures[spec.look] = Image.open(done.record.path).convert("RGB").tobytes()
    assert pictures["embroidered"] != pictures["print"]
