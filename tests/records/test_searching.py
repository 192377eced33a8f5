"""Pictures are found by whole words in every script, by what people said, model and time; newest first, always."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from sdxl_lora.records import Record, Store, layout
from sdxl_lora.records import store as module
from sdxl_lora.records.searching import Filters, Verdict, conditions, words_of
from sdxl_lora.records.tables import PictureRow
from sdxl_lora.records.votes import Votes
from tests.records.shared import PICTURE, add, request


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("red", False),
        ("tailored", True),
        ("tailor", False),
        ("tailor*", True),
        ("t-shirt", True),
        ("shirt", True),
        ("T", True),
        ("服", True),
        ("夏服", True),
        ("冬服", False),
        ("größe", True),
        ("GRÖSSE 12", True),
        ("my lora", True),
        ("*", False),
        ("% _", False),
    ],
)
def test_words_are_found_and_no_parts_of_words(store: Store, search: str, found: bool) -> None:
    add(store, "a tailored t-shirt, my_lora, 夏の服, Größe", seed=12)
    assert store.count(search=search) == found


def test_words_are_kept_once_each() -> None:
    assert words_of(["a Red, red (RED) cap"]) == " a red cap "


def test_what_people_said_chooses(home: Path) -> None:
    with Store(home) as store, Votes(store.database) as votes:
        liked, disliked, open_ = add(store), add(store), add(store)
        votes.cast(liked.id, approved=True, model="m", features=[1.0], brand="A")
        votes.cast(disliked.id, approved=False, model="m", features=[1.0])
        verdicts: dict[Verdict, Record] = {"approved": liked, "rejected": disliked, "open": open_}
        for verdict, expected in verdicts.items():
            assert store.page(verdict=verdict) == [expected]
            assert store.count(verdict=verdict) == 1


def test_model_and_time_choose(store: Store) -> None:
    add(store)
    other = store.add(PICTURE, request=request(model="sdxl"))
    assert store.models() == ["mini", "sdxl"]
    assert store.page(model="sdxl") == [other]
    hour = timedelta(hours=1)
    assert store.count(since=other.created_at - hour, until=other.created_at + hour) == 2
    assert store.count(since=other.created_at + hour) == store.count(until=other.created_at - hour) == 0


def test_a_clock_that_was_set_back_sorts_a_new_picture_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = add(store, "before")
    yesterday = datetime.now(UTC) - timedelta(days=1)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return yesterday

    monkeypatch.setattr(module, "datetime", Clock)
    after = [add(store, f"after {n}") for n in range(3)]
    assert [record.id for record in store.page()] == [record.id for record in (*reversed(after), before)]
    assert after[0].created_at == yesterday  # what the clock said, honestly
    assert all(record.path.is_file() for record in after)


def test_an_impossible_day_is_no_id() -> None:
    assert not layout.is_id("20260231-163000-000000-abcdef")


def test_rows_of_an_earlier_version_are_found_by_words_after_the_next_start(home: Path) -> None:
    with Store(home) as store:
        record = add(store, "a tailored jacket")
        with store.database.writing() as session:
            session.execute(sa.text("UPDATE pictures SET model = '', search_text = 'a tailored jacket'"))
            session.execute(sa.text("DELETE FROM picture_found_by"))
    with Store(home) as store:
        assert store.page(search="jacket", model="mini") == [record]
        assert store.count(search="red") == 0


def test_a_page_reads_no_more_rows_than_it_shows(store: Store) -> None:
    add(store)
    queries: list[Filters] = [{}, {"favourite": True}, {"model": "mini"}, {"session": ""}]
    with store.database.reading() as session:
        for filters in queries:
            query = sa.select(PictureRow).where(*conditions(filters))
            query = query.order_by(PictureRow.id.desc()).limit(24)
            text = str(query.compile(session.connection(), compile_kwargs={"literal_binds": True}))
            plan = [row[-1] for row in session.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
            assert len(plan) == 1, plan  # no sorting
            assert "USING INDEX" in plan[0], plan
