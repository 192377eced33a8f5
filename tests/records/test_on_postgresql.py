"""Everything that is kept of pictures, on a real PostgreSQL server: the stores' own tests, each on a new database."""

from pathlib import Path
from types import ModuleType

import pytest
from _pytest.fixtures import FixtureFunctionDefinition

from sdxl_lora.records import Store
from sdxl_lora.records.boards import Boards
from sdxl_lora.records.votes import Votes
from tests.looks import conftest as looks
from tests.looks import test_looking
from tests.postgresql import address, empty, server
from tests.records import (
    test_boards,
    test_comparisons,
    test_evaluations,
    test_finding,
    test_journal,
    test_searching,
    test_store,
    test_trash,
    test_upserts,
    test_votes,
)
from tests.records.shared import add

__all__ = ["address", "server"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("address")]

# they delete, open or look into SQLite's own file
OF_SQLITE = {
    "test_a_commit_that_fails_leaves_neither_file_nor_row",
    "test_a_line_cut_off_by_a_crash_does_not_swallow_the_next_vote",
    "test_a_page_is_read_by_its_key_and_not_counted_off",
    "test_a_page_reads_no_more_rows_than_it_shows",
    "test_a_picture_is_on_several_boards_and_stays_there",
    "test_nothing_is_read_again_where_nothing_is_new",
    "test_reports_whose_rows_were_lost_are_entered_again",
    "test_the_trash_outlives_a_restart_and_a_lost_database",
    "test_votes_and_favourites_of_an_old_folder_outlive_its_database",
}


def take_over(module: ModuleType) -> None:
    """Its tests and fixtures are this module's, too."""
    short = module.__name__.rpartition(".")[2].removeprefix("test_")
    for name, value in vars(module).items():
        if isinstance(value, FixtureFunctionDefinition):
            globals()[name] = value
        elif name.startswith("test_") and callable(value) and name not in OF_SQLITE:
            globals()[f"test_{short}__{name.removeprefix('test_')}"] = value


for module in (
    looks,
    test_boards,
    test_comparisons,
    test_evaluations,
    test_finding,
    test_journal,
    test_looking,
    test_searching,
    test_store,
    test_trash,
    test_upserts,
    test_votes,
):
    take_over(module)


def test_a_lost_database_loses_nothing_that_people_said_or_kept(
    address: str, home: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(home) as store:
        boards = Boards(store.database)
        liked, deleted, plain = (add(store, f"a {colour} coat") for colour in ("navy", "red", "green"))
        store.mark_favourite(liked.id)
        Votes(store.database).cast(liked.id, approved=True, model="m", features=[1.0])
        spring = boards.make("Spring")
        boards.add(spring.id, [liked.id, deleted.id])
        store.trash.put([deleted.id])
    monkeypatch.setenv("DATABASE_URL", empty(server, "another"))
    with Store(home) as store, Votes(store.database):
        boards = Boards(store.database)
        assert [one.id for one in store.page()] == [plain.id, liked.id]
        assert [one.id for one in store.page(favourite=True, verdict="approved")] == [liked.id]
        assert [(one.name, one.pictures) for one in boards.all()] == [("Spring", 1)]
        store.trash.restore([deleted.id])
        assert [one.id for one in store.page(board=spring.id, search="red")] == [deleted.id]
    monkeypatch.setenv("DATABASE_URL", address)
    with Store(home) as store:  # the one that was thought lost
        assert store.count() == 3
