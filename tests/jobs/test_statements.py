"""What every picture asks of the line costs the same however many jobs there were."""

import pytest
import sqlalchemy as sa

from sdxl_lora.jobs import statements
from sdxl_lora.jobs.store import JobStore
from tests.jobs.drawing import spec


def plan(store: JobStore, statement: sa.ClauseElement, **values: object) -> str:
    """How SQLite goes about it."""
    with store.database.reading() as session:
        said = statement.params(values).compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {said}").all()
    return "; ".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize(
    ("statement", "index"),
    [(statements.BEGUN, "ix_jobs_begun"), (statements.LATEST, "ix_jobs_rounds")],
)
def test_the_round_of_a_new_job_is_read_from_the_end_of_an_index(
    store: JobStore, statement: sa.ClauseElement, index: str
) -> None:
    said = plan(store, statement, priority=1, user="tab")
    assert f"USING COVERING INDEX {index}" in said
    assert "TEMP B-TREE" not in said


@pytest.mark.parametrize("look", [True, False])
def test_what_a_working_process_asks_again_and_again_looks_at_active_jobs_only(
    store: JobStore, look: bool
) -> None:
    values = {"owner": "me", **({"priority": 0} if look else {})}
    said = plan(store, statements.news(anybodys=True, look=look), **values)
    assert "ix_jobs_line" in said
    assert "SCAN jobs" not in said


def test_jobs_asked_for_together_take_their_turns_like_those_asked_for_one_by_one(store: JobStore) -> None:
    wishes = [spec(f"cap {n}", 1, user="ab"[n % 2]) for n in range(6)]
    together = [kept.round for kept in store.those(store.submit(wishes, pinned=""))]
    assert together == [1, 1, 2, 2, 3, 3]
    alone = [kept.round for wish in wishes[:2] for kept in store.those(store.submit([wish], pinned=""))]
    assert alone == [4, 4]
