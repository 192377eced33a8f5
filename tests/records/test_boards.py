"""Boards: named collections; a picture may be on several, and a lost database loses none of them."""

from pathlib import Path

import pytest

from sdxl_lora.errors import NotFoundError, RequestError
from sdxl_lora.records import Store, layout
from sdxl_lora.records.boards import Boards
from tests.records.shared import add


@pytest.mark.parametrize("lost", [False, True])
def test_a_picture_is_on_several_boards_and_stays_there(home: Path, lost: bool) -> None:
    with Store(home) as store:
        boards = Boards(store.database)
        navy, red = add(store, "navy"), add(store, "red")
        spring, hero = boards.make("Spring"), boards.make("  hero   shots ")
        boards.add(spring.id, [navy.id, red.id, navy.id])
        boards.add(hero.id, [navy.id])
        boards.add(hero.id, [red.id])
        boards.remove(hero.id, [red.id])
        boards.rename(spring.id, "Spring 2027")
        boards.delete(boards.make("Empty").id)
    if lost:
        layout.database_path(home).unlink()
    with Store(home) as store:
        boards = Boards(store.database)
        assert [(board.name, board.pictures) for board in boards.all()] == [
            ("hero shots", 1),
            ("Spring 2027", 2),
        ]
        assert sorted(boards.of(navy.id)) == sorted([spring.id, hero.id])
        assert [record.id for record in store.page(board=spring.id)] == [red.id, navy.id]
        assert store.page(board=hero.id, search="red") == []
        assert store.count(board="no board") == 0


def test_a_deleted_board_deletes_no_picture(store: Store) -> None:
    boards = Boards(store.database)
    record, board = add(store), boards.make("Spring")
    boards.add(board.id, [record.id])
    boards.delete(board.id)
    assert boards.all() == []
    assert store.get(record.id) == record


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\x00b", "SPRING"])
def test_a_name_that_is_none_or_is_taken_is_refused_in_one_line(store: Store, name: str) -> None:
    boards = Boards(store.database)
    boards.make("spring")
    with pytest.raises(RequestError, match=r"^[^\n]+$"):
        boards.make(name)
    assert len(boards.all()) == 1


def test_a_board_that_is_gone_says_so(store: Store) -> None:
    boards = Boards(store.database)
    record, board = add(store), boards.make("Spring")
    boards.delete(board.id)
    for act in (
        lambda: boards.add(board.id, [record.id]),
        lambda: boards.remove(board.id, [record.id]),
        lambda: boards.rename(board.id, "Autumn"),
        lambda: boards.delete(board.id),
    ):
        with pytest.raises(NotFoundError, match="deleted meanwhile"):
            act()


def test_thousands_at_once_are_put_on_a_board(store: Store) -> None:
    boards = Boards(store.database)
    board = boards.make("All")
    ids = [f"20261127-045110-{number:06}-975191" for number in range(2_000)]
    boards.add(board.id, [*ids, "../../etc/passwd"])
    assert len(boards.of(ids[-1])) == 1
    assert boards.all()[0].pictures == 0  # none of them is there
