"""A spec, and a job made of it, are JSON: what comes back is what went in."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sdxl_lora import generation
from sdxl_lora.errors import Cancelled, InputError, RequestError, StudioError, UnknownNameError
from sdxl_lora.jobs.job import Job, Picture
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.request import GenerationRequest, LoraSpec
from sdxl_lora.scoring.card import LoggedAttempt

REQUEST = GenerationRequest(
    prompt="a cap", loras=(LoraSpec(path="a.safetensors"),), slots=(("colour", "navy"),)
)
SPEC = JobSpec(
    request=REQUEST,
    effort=Effort(level="strict", min_score=0.3, max_attempts=5),
    priority="batch",
    group="red and navy",
    user="tab",
    idempotency_key="order 7",
)
TRIED = LoggedAttempt(number=1, prompt="a cap", seed=4, scorer="CLIP", score=0.25, verdict="below", steps=20)
JOB = Job(
    id="x",
    spec=SPEC,
    submitted=1.5,
    state="failed",
    pictures=(Picture(index=0, record_id="r", attempts=(TRIED,), spent=20, budget=80), Picture(index=1)),
    error="no such model",
    error_kind="UnknownNameError",
    notes=("not scored: x",),
)


def test_a_spec_is_read_as_it_was_written() -> None:
    for spec in (SPEC, JobSpec(request=REQUEST)):
        assert JobSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_decided_request_stays_decided() -> None:
    spec = JobSpec(request=generation.resolve(GenerationRequest(prompt="a cap", model="mini")))
    assert JobSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_job_is_read_as_it_was_written() -> None:
    assert Job.from_dict(json.loads(json.dumps(JOB.to_dict()))) == JOB


@pytest.mark.parametrize("values", [{}, {"request": 1}, {"request": {"prompt": "a"}, "colour": "red"}])
def test_what_is_no_spec_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        JobSpec.from_dict(values)


def test_an_effort_that_makes_no_sense_is_refused_before_it_waits_in_line() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'strict'"):
        Effort(level="strickt")
    with pytest.raises(RequestError, match="a budget of 0 attempts"):
        Effort(max_attempts=0)
    with pytest.raises(UnknownNameError, match="no priority named 'urgent'"):
        JobSpec(request=REQUEST, priority="urgent")  # type: ignore[arg-type]


def test_any_word_about_effort_asks_for_a_search() -> None:
    assert not Effort().searches
    assert all(
        effort.searches for effort in (Effort(level="draft"), Effort(min_score=0.2), Effort(max_attempts=2))
    )


@pytest.mark.parametrize(
    ("state", "kind", "raised"),
    [
        ("cancelled", "", Cancelled),
        ("failed", "RequestError", RequestError),
        ("failed", "UnknownNameError", InputError),  # which is made of more than a message
        ("failed", "ZeroDivisionError", StudioError),
        ("failed", "difflib", StudioError),
    ],
)
def test_an_error_comes_back_as_the_kind_it_was(state: Any, kind: str, raised: type[StudioError]) -> None:
    with pytest.raises(raised) as caught:
        replace(JOB, state=state, error_kind=kind).raise_error()
    assert type(caught.value) is raised
