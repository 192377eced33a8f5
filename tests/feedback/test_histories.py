"""What was tried is still there after a reload."""

import os
from pathlib import Path

import pytest

from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.feedback import histories
from sdxl_lora.feedback.histories import Histories
from sdxl_lora.feedback.history import History
from sdxl_lora.request import GenerationRequest

TREE = History.begin(GenerationRequest(prompt="a cap")).change(GenerationRequest(prompt="a red cap"), "red")


def test_a_history_is_found_again_by_its_session(home: Path) -> None:
    Histories(home).keep("abc123", TREE)
    assert Histories(home).read("abc123") == TREE
    assert Histories(home).read("another") == History()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"steps": 3, "at": 0}'])
def test_a_damaged_history_begins_anew(home: Path, text: str) -> None:
    Histories(home).keep("abc123", TREE)
    (home / "histories" / "abc123.json").write_text(text)
    assert Histories(home).read("abc123") == History()


def test_a_history_that_cannot_be_read_is_kept_beside(home: Path) -> None:
    Histories(home).keep("abc123", TREE)
    newer = (home / "histories" / "abc123.json").read_text().replace('"prompt"', '"wish": 1, "prompt"')
    (home / "histories" / "abc123.json").write_text(newer)
    Histories(home).keep("abc123", TREE)
    assert (home / "histories" / "abc123.unread").read_text() == newer
    assert Histories(home).read("abc123") == TREE


def test_a_clock_that_was_set_back_does_not_lose_the_history_of_now(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "KEPT", 1)
    Histories(home).keep("before", TREE)
    os.utime(home / "histories" / "before.json", (4e9, 4e9))
    Histories(home).keep("now", TREE)
    assert Histories(home).read("now") == TREE


def test_the_oldest_go_when_there_are_many(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "KEPT", 2)
    for age, session in ((3, "old"), (2, "middle"), (1, "new")):
        Histories(home).keep(session, TREE)
        os.utime(home / "histories" / f"{session}.json", (1e9 - age, 1e9 - age))
    Histories(home).keep("newest", TREE)
    assert {path.stem for path in (home / "histories").iterdir()} == {"new", "newest"}


def test_a_name_that_could_be_a_path_is_refused(home: Path) -> None:
    with pytest.raises(DataError, match="is no session"):
        Histories(home).keep("../../etc", TREE)


def test_a_disk_that_refuses_is_one_line(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        Histories(home).keep("abc123", TREE)
