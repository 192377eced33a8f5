"""What people said of pictures outlives the database, a crash, and a program that wrote without a journal."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sdxl_lora import files
from sdxl_lora.errors import StorageError
from sdxl_lora.records import Database, Store, layout
from sdxl_lora.records.votes import Votes
from tests.records.shared import add

OLD_FOLDER = Path(__file__).with_name("folders") / "schema-4"
JACKET, SHOES = "20261127-045110-187314-975191", "20261127-045114-550346-0cfa96"
EXACT = [0.1, -0.3, 1 / 3]  # float64: float32 would change them


@pytest.fixture
def old(home: Path) -> Path:
    """A folder of the last version without journals: two votes, one favourite."""
    shutil.copytree(OLD_FOLDER, home)
    return home


def lose(home: Path) -> None:
    for path in home.glob("records.sqlite*"):
        path.unlink()


def damage(home: Path) -> None:
    layout.database_path(home).write_bytes(b"this was a database once " * 100)


@pytest.mark.parametrize("accident", [lose, damage])
def test_votes_and_favourites_of_an_old_folder_outlive_its_database(old: Path, accident) -> None:
    with Database(old) as database:
        Store(database)
        before = Votes(database).of_brand() + Votes(database).of_brand("Nørdic")
    accident(old)
    with Database(old) as database:
        store, votes = Store(database), Votes(database)
        assert votes.of_brand() + votes.of_brand("Nørdic") == before
        assert [record.id for record in store.page(favourite=True)] == [SHOES]


def test_every_way_to_change_a_vote_outlives_the_database(home: Path) -> None:
    ids = [f"20261127-04511{n}-187314-975191" for n in range(4)]
    with Votes(home) as votes:
        for identifier in ids[:3]:
            votes.cast(identifier, approved=True, model="m", features=EXACT, brand="A")
        votes.cast(ids[3], approved=True, model="m", features=EXACT, brand="B")
        votes.cast(ids[0], approved=False, model="m", features=EXACT, brand="A", text="first words")
        votes.describe(ids[0], "A", tags=["wrong colour"], text="darker")
        votes.withdraw(ids[1], "A")
        votes.reset("B")
        before = votes.of_brand("A")
    lose(home)
    with Votes(home) as votes:
        assert votes.of_brand("A") == before
        assert {vote.picture_id for vote in before} == {ids[0], ids[2]}
        assert before[-1].features == tuple(EXACT)
        assert votes.brands() == {"A": 2}
        assert (votes.find(ids[0], "A") or before[1]).text == "darker"


def test_a_favourite_that_was_taken_back_stays_so(home: Path) -> None:
    with Store(home) as store:
        kept, other = add(store), add(store)
        for record in (kept, other):
            store.mark_favourite(record.id)
        store.mark_favourite(other.id, False)
    lose(home)
    with Store(home) as store:
        assert [record.id for record in store.page(favourite=True)] == [kept.id]


def test_a_vote_that_reached_the_disk_but_not_the_database_is_entered_later(home: Path) -> None:
    with Votes(home) as votes:
        votes.cast(JACKET, approved=True, model="m", features=[1.0])
    line = json.loads((home / "votes.jsonl").read_text())
    with (home / "votes.jsonl").open("a") as file:
        file.write("\n" + json.dumps({**line, "picture": SHOES, "approved": False}))
    with Votes(home) as votes:
        assert votes.find(SHOES) is not None
        assert votes.brands() == {"": 2}


def test_a_vote_that_cannot_be_written_is_neither_here_nor_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Votes(home) as votes:
        votes.cast(JACKET, approved=True, model="m", features=[1.0])
        before = (home / "votes.jsonl").read_bytes()

        def full(*_: object) -> int:
            raise StorageError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(files, "append_line", full)
            with pytest.raises(StorageError, match="the disk is full"):
                votes.cast(JACKET, approved=False, model="m", features=[1.0])
        assert [vote.approved for vote in votes.of_brand()] == [True]
        assert (home / "votes.jsonl").read_bytes() == before


@pytest.fixture
def strange() -> bytes:
    lines = ["", "{", "[]", "5", '{"action": "dance", "picture": "x", "brand": ""}', '{"action": "cast"}']
    lines += [
        "[" * 100_000,
        "1" * 5000,
        '{"action": "cast", "picture": "x", "brand": "", "features": "<f4:!"}',
    ]
    return "\n".join(lines).encode()


def test_lines_that_say_nothing_are_passed_over(home: Path, strange: bytes) -> None:
    with Votes(home) as votes:
        votes.cast(JACKET, approved=True, model="m", features=[1.0])
    with (home / "votes.jsonl").open("ab") as file:
        file.write(b"\n" + strange + b"\xff\xfe")
    lose(home)
    with Votes(home) as votes:
        assert votes.brands() == {"": 1}
        votes.cast(SHOES, approved=True, model="m", features=[1.0])
    lose(home)
    with Votes(home) as votes:
        assert votes.brands() == {"": 2}


def test_a_journal_that_was_lost_is_written_again(home: Path) -> None:
    with Votes(home) as votes:
        votes.cast(JACKET, approved=True, model="m", features=[1.0])
    (home / "votes.jsonl").unlink()
    Votes(home).close()
    lose(home)
    with Votes(home) as votes:
        assert votes.brands() == {"": 1}


def test_nothing_is_read_again_where_nothing_is_new(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Votes(home) as votes:
        votes.cast(JACKET, approved=True, model="m", features=[1.0])
    monkeypatch.setattr(files, "parse_json", None)
    with Votes(home) as votes:
        assert votes.brands() == {"": 1}
    with closing(sqlite3.connect(layout.database_path(home))) as connection:
        [(name, entered)] = connection.execute("SELECT name, entered FROM journals")
    assert (name, entered) == ("votes.jsonl", (home / "votes.jsonl").stat().st_size)
