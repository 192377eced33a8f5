"""New pictures are looked at as they are made, old ones when somebody asks, and none brings the thread down."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.looks import indexing
from sdxl_lora.looks.indexing import Indexer
from sdxl_lora.looks.looking import Looks
from sdxl_lora.records import Record, Store, layout
from sdxl_lora.scoring.base import default_scorer
from sdxl_lora.scoring.clip import ClipScorer
from tests.records.shared import add

Made = dict[str, Record]
PATIENCE = 60.0  # seconds, on a busy machine


@contextmanager
def running(store: Store, looks: Looks) -> Iterator[Indexer]:
    indexer = Indexer(store, looks)
    try:
        yield indexer
    finally:
        indexer.close()


def test_a_picture_is_looked_at_once_it_is_noted_and_has_its_thumbnail(store: Store, looks: Looks) -> None:
    with running(store, looks) as indexer:
        record = add(store)
        indexer.note(record.id)
        assert indexer.wait(PATIENCE)
        assert looks.embeddings.count(looks.judge) == 1
        assert layout.thumbnail_path(store.home, record.id).exists()
        assert indexer.missing() == 0


def test_a_few_pictures_of_others_are_looked_at_unasked(store: Store, looks: Looks, made: Made) -> None:
    with running(store, looks) as indexer:
        assert indexer.wait(PATIENCE)
        assert eventually(lambda: indexer.missing() == 0)


def test_many_old_pictures_are_looked_at_on_request_with_progress(
    store: Store, looks: Looks, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "FEW", 0)
    monkeypatch.setattr(indexing, "AT_ONCE", 3)
    with running(store, looks) as indexer:
        assert (indexer.missing(), indexer.progress.running) == (len(made), False)
        indexer.look_at_all()
        assert indexer.wait(PATIENCE)
        progress = indexer.progress
        assert (progress.done, progress.total, progress.running, progress.error) == (4, 4, False, "")
        assert looks.embeddings.missing(looks.judge) == []


def test_a_damaged_picture_is_passed_over_and_not_waited_for(store: Store, looks: Looks, made: Made) -> None:
    made["skirt"].path.write_bytes(b"no picture")
    with running(store, looks) as indexer:
        indexer.look_at_all()
        assert indexer.wait(PATIENCE)
        assert eventually(lambda: indexer.missing() == 0)
        assert looks.embeddings.missing(looks.judge) == [made["skirt"].id]


def test_without_its_clip_it_says_why_and_goes_on_with_the_next(store: Store, made: Made) -> None:
    known = {"there": False}

    def clip() -> ClipScorer:
        if not known["there"]:
            raise ModelUnavailableError("the CLIP is not here; fetch it")
        return default_scorer()

    looks = Looks(store.database, clip=clip)
    with running(store, looks) as indexer:
        indexer.note(made["skirt"].id)
        assert indexer.wait(PATIENCE)
        assert indexer.progress.error == "the CLIP is not here; fetch it"
        known["there"] = True
        indexer.note(made["skirt"].id)
        assert indexer.wait(PATIENCE)
        assert looks.embeddings.count(looks.judge) == 1


def eventually(true: Callable[[], bool]) -> bool:
    """The thread begins by asking what is missing; nothing tells when it has."""
    until = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
