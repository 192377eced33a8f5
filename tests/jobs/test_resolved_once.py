"""What a request leaves open is decided once a job, whichever way the job goes."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.request import GenerationRequest

RESOLVE = importlib.import_module("sdxl_lora.generation.resolving")
OPEN = GenerationRequest(
    prompt="a navy jacket", model="mini", count=2
)  # no seed, steps, guidance, size, precision


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[GenerationRequest]:
    """Requests about which everything was decided, the model's and LoRAs' contents read."""
    seen: list[GenerationRequest] = []
    decide = RESOLVE._decided

    def counted(request: GenerationRequest, info: Any, **found: Any) -> Any:
        if found:  # else only looked at, for what cannot be drawn
            seen.append(request)
        return decide(request, info, **found)

    monkeypatch.setattr(RESOLVE, "_decided", counted)
    return seen


@pytest.mark.parametrize("effort", [Effort(), Effort(level="draft"), Effort(level="draft", max_attempts=1)])
def test_a_job_resolves_its_request_exactly_once(
    effort: Effort, home: Path, decisions: list[GenerationRequest]
) -> None:
    with open_front_door(home) as door:
        done = door.queue.wait(door.queue.submit(JobSpec(request=OPEN, effort=effort)).id, 60.0)
        assert done is not None
        assert done.error is None
        drawn = [door.studio.store.get(picture).request for picture in done.record_ids]
    assert decisions == [OPEN]
    assert len(drawn) == 2
    assert len({request.model_sha256 for request in drawn}) == 1
