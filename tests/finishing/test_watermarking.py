"""The mark as a step: on by default, after the score, said in the signature, and the same for the same picture."""

import io
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora.finishing.chain import Chain, Piece
from sdxl_lora.finishing.embedding import Embed
from sdxl_lora.finishing.scoring import Score
from sdxl_lora.finishing.signing import Sign
from sdxl_lora.finishing.storing import Keep
from sdxl_lora.finishing.watermarking import Watermark
from sdxl_lora.provenance import detection
from sdxl_lora.records import Store
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.base import default_scorer
from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.scoring.verifier import Verifier
from tests.provenance import shared

PIECE = Piece(
    image=shared.photo(), request=GenerationRequest(prompt="a cap", seed=3, width=256, height=256),
    card=ScoreCard(),
)  # fmt: skip


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def finish(store: Store, *more: Score) -> Piece:
    return Chain([Keep(store), Sign(store), Embed(store.get), Watermark(store.get), *more])(PIECE)


def test_a_kept_picture_carries_the_mark_and_its_signature_says_so(store: Store) -> None:
    done = finish(store)
    assert done.record is not None
    with Image.open(done.record.path) as image:
        found = detection.look(image)
    assert (found.found, found.kind) == (True, SourceType.GENERATED)
    _, manifest = shared.manifest_of(done.record.path.read_bytes())
    assert [one["action"] for one in shared.actions(manifest)] == ["c2pa.created", "c2pa.watermarked.unbound"]


def test_the_score_is_of_the_picture_without_it(store: Store) -> None:
    judged: list[bytes] = []

    class Watching(Verifier):
        def judge(self, images, request, *, sketch=False):
            judged.extend(image.tobytes() for image in images)
            return super().judge(images, request, sketch=sketch)

    scoring = Score(lambda _: Watching(default_scorer(), gates=False))
    Chain([Watermark(store.get), scoring])(Piece(image=PIECE.image, request=PIECE.request))
    assert judged == [PIECE.image.tobytes()]


def test_the_same_picture_is_kept_with_the_same_pixels(store: Store) -> None:
    pixels = set()
    for _ in range(2):
        done = finish(store)
        assert done.data is not None
        with Image.open(io.BytesIO(done.data)) as image:
            pixels.add(image.tobytes())
    assert len(pixels) == 1
    assert PIECE.image.tobytes() not in pixels


def test_it_can_be_switched_off_and_is_then_not_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_WATERMARK", "off")
    done = finish(store)
    assert done.record is not None
    with Image.open(done.record.path) as image:
        assert image.tobytes() == PIECE.image.tobytes()
    _, manifest = shared.manifest_of(done.record.path.read_bytes())
    assert [one["action"] for one in shared.actions(manifest)] == ["c2pa.created"]
