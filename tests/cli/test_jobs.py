"""`jobs` and `work`: what waits is seen, stopped, tried again and drawn."""

import json
from pathlib import Path

import pytest

from sdxl_lora import cli
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.records import Database, Store
from tests.jobs.drawing import spec


def submitted(home: Path, *prompts: str) -> list[str]:
    with Database(home) as database:
        return JobStore(database).submit(
            [spec(p, 2, priority="batch", user="shop") for p in prompts], pinned=""
        )


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[Job]:
    assert cli.main(["jobs", *words, "--json"]) == 0
    return [Job.from_dict(one) for one in json.loads(capsys.readouterr().out)["jobs"]]


def test_what_waits_is_listed_in_its_order_and_cancelled(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = submitted(home, "a cap", "a scarf")
    assert [(job.id, job.state, job.position) for job in listed(capsys)] == [
        (ids[0], "queued", 0),
        (ids[1], "queued", 1),
    ]
    assert [job.state for job in listed(capsys, "cancel", ids[1][:8])] == ["cancelled"]
    assert cli.main(["jobs"]) == 0
    table = capsys.readouterr().out
    assert "a cap" in table
    assert "queued, 0 before it" in table
    assert [job.state for job in listed(capsys, "cancel", "--all")] == ["cancelled"]
    assert [job.state for job in listed(capsys, "--user", "shop")] == ["cancelled"] * 2
    assert listed(capsys, "--user", "nobody") == []


def test_work_draws_what_waits_and_a_cancelled_job_can_be_tried_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = submitted(home, "a cap", "a scarf")
    listed(capsys, "cancel", first)
    assert cli.main(["work", "--until-empty", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 2
    assert {job.id: job.state for job in listed(capsys)} == {first: "cancelled", second: "done"}
    assert [job.state for job in listed(capsys, "retry", first)] == ["queued"]
    assert cli.main(["work", "--until-empty"]) == 0
    with Store(home) as store:
        assert store.count() == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jobs", "cancel"], "which jobs are meant?"),
        (["jobs", "cancel", "0123"], "there is no job '0123'"),
        (["jobs", "retry", "0" * 32], f"there is no job '{'0' * 32}'"),
        (["work", "--threads", "0"], "--threads 0: a number from 1 to 1024 is needed"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    words: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err


def test_a_job_that_is_done_is_not_tried_again(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [job_id] = submitted(home, "a cap")
    assert cli.main(["jobs", "retry", job_id]) == 2
    assert "is queued; only failed and cancelled ones are tried again" in capsys.readouterr().err
