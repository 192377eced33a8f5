"""A page begins at a key, in any order; pictures are found by whose they are, whatever version made them."""

import random
from pathlib import Path

import pytest
import sqlalchemy as sa

from sdxl_lora.records import Store
from sdxl_lora.records.searching import Order, from_key, order_by
from sdxl_lora.records.tables import PictureRow
from sdxl_lora.request import LoraSpec
from sdxl_lora.scoring.card import ScoreCard
from tests.records.shared import PICTURE, add, request

ORDERS: tuple[Order, ...] = ("newest", "oldest", "best", "worst")


@pytest.fixture
def scored(store: Store) -> Store:
    """Eleven pictures: some scores are equal, some are missing."""
    for number in range(11):
        score = (0.3, 0.3, float("nan"), 0.25, -0.1)[number % 5]
        card = ScoreCard(score=score, scorer="a judge")
        store.add(PICTURE, request=request(f"jacket {number}"), card=card)
    return store


@pytest.mark.parametrize("order", ORDERS)
def test_pages_hold_every_picture_once_both_ways(scored: Store, order: Order) -> None:
    whole = [record.id for record in scored.view("", 99, order).records]
    assert len(set(whole)) == 11
    start, seen, starts = "", list[str](), list[str]()
    while True:
        page = scored.view(start, 3, order)
        assert (page.count, page.before) == (11, len(seen))
        seen += [record.id for record in page.records]
        starts.append(start)
        if not page.next:
            break
        start = page.next
    assert seen == whole
    for before in reversed(starts[:-1]):
        start = scored.view(start, 3, order).previous
        assert scored.view(start, 3, order).records == scored.view(before, 3, order).records


def test_pictures_sort_by_score_and_those_without_one_come_last(scored: Store) -> None:
    scores = [record.card.score for record in scored.view("", 99, "best").records]
    assert scores[:-2] == sorted(scores[:-2], reverse=True)
    assert [score != score for score in scores[-2:]] == [True, True]


def test_a_new_picture_moves_no_page_that_somebody_looks_at(store: Store) -> None:
    for number in range(6):
        add(store, f"jacket {number}")
    second = store.view(store.view("", 3).next, 3)
    add(store, "one more")
    assert store.view(second.records[0].id, 3).records == second.records


@pytest.mark.parametrize(
    "key", ["", ",", "no-key", "0.3", "x,y", "0.3,20261127-045110-187314-975191", "‮", "1e999,z"]
)
@pytest.mark.parametrize("order", ORDERS)
def test_what_is_no_key_shows_something_and_breaks_nothing(scored: Store, key: str, order: Order) -> None:
    assert scored.view(key, 3, order).count == 11


def test_whose_a_picture_is_chooses(store: Store) -> None:
    add(store)
    lora = LoraSpec(path="loras/halden.safetensors", weight=0.5)
    mine = store.add(
        PICTURE,
        request=request(seed=3, brand="Halden", sku="Tee-10/NAVY", loras=(lora,)),
        card=ScoreCard(score=0.4, scorer="a judge"),
    )
    slots = (("brand", "Söder"), ("product", "cap"))
    theirs = store.add(PICTURE, request=request(slots=slots, seed=2**63 - 1))
    assert store.brands() == ["Halden", "Söder"]
    assert store.loras() == ["loras/halden.safetensors"]
    for filters in (
        {"brand": "Halden"},
        {"sku": "TEE-10/navy"},
        {"sku": "tee-*"},
        {"min_score": 0.4},
        {"seed": 3},
    ):
        assert store.page(**filters) == [mine], filters
    assert store.page(lora=lora.path) == [mine]
    assert store.page(brand="Söder") == store.page(seed=2**63 - 1) == [theirs]
    assert store.count(sku="tee") == store.count(sku="%") == store.count(brand="halden") == 0
    assert store.count(min_score=-5) == 1  # one that was scored
    store.delete(mine.id)
    assert (store.brands(), store.loras()) == (["Söder"], [])


def test_what_an_earlier_version_adds_and_deletes_is_followed_at_the_next_start(home: Path) -> None:
    with Store(home) as store:
        gone = add(store)
        kept = store.add(
            PICTURE, request=request(brand="Halden"), card=ScoreCard(score=0.4, scorer="a judge")
        )
        with store.database.writing() as session:
            session.execute(sa.text("DELETE FROM picture_found_by WHERE brand = 'Halden'"))
            session.execute(sa.text("UPDATE pictures SET score = -2"))
            session.execute(sa.text("DELETE FROM pictures WHERE id = :id"), {"id": gone.id})
        gone.path.unlink()
    with Store(home) as store:
        assert store.page(brand="Halden", min_score=0.4) == [kept]
        with store.database.reading() as session:
            assert list(session.scalars(sa.text("SELECT picture_id FROM picture_found_by"))) == [kept.id]


def test_a_page_is_read_by_its_key_and_not_counted_off(store: Store) -> None:
    rng = random.Random(5)
    for _ in range(3):
        store.add(PICTURE, request=request(), card=ScoreCard(score=rng.random(), scorer="a judge"))
    with store.database.reading() as session:
        for order, key in (("newest", "20261127"), ("best", "0.3,20261127")):
            here = from_key(key, order)  # type: ignore[arg-type]
            assert here is not None
            query = sa.select(PictureRow).where(here).order_by(*order_by(order)).limit(24)  # type: ignore[arg-type]
            text = str(query.compile(session.connection(), compile_kwargs={"literal_binds": True}))
            plan = [row[-1] for row in session.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
            assert len(plan) == 1, plan  # no sorting
            assert "SEARCH pictures USING INDEX" in plan[0], plan
