"""A LoRA training is a job like others: people are served meanwhile, it is stopped, goes on, and ends."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.errors import InputError, StudioError, TrainingError
from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.spec import JobSpec, TrainingWish
from sdxl_lora.jobs.training import TrainingRunner, arguments
from sdxl_lora.request import GenerationRequest
from sdxl_lora.training import runs
from tests.captioned import captioned
from tests.jobs.drawing import spec as pictures

TIMEOUT = 240.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return captioned(tmp_path / "photos", 4, "a cap number {}")


def training(data: Path, output: Path, steps: int, **more: Any) -> JobSpec:
    settings = {
        "pretrained_model_name_or_path": "mini",
        "train_data_dir": str(data),
        "output_dir": str(output),
        "max_train_steps": steps,
        "checkpointing_steps": 10_000,
        "train_batch_size": 1,
        "resolution": 64,
        "report_to": "none",
        "seed": 1,
        **more,
    }
    wish = TrainingWish(name="caps", settings=tuple(settings.items()))
    return JobSpec(request=GenerationRequest(prompt="a cap"), priority="batch", user="tab", training=wish)


def after_step(queue: JobQueue, job: Job, step: int) -> Job:
    for now in queue.events(job.id):
        assert now.active, now.error
        if now.pictures[0].step >= step:
            return now
    raise AssertionError("it is gone")


def test_people_are_served_while_it_stands_still_and_stopped_it_goes_on_to_its_end(
    home: Path, data: Path
) -> None:
    output = home / "training" / "caps"
    with open_front_door(home) as door:
        queue = door.queue
        job = queue.submit(training(data, output, 100_000))
        assert queue.jobs() == []
        assert [one.title for one in queue.jobs("tab", kind="training")] == ["caps"]
        after_step(queue, job, 3)
        picture = queue.wait(queue.submit(pictures("a scarf", 1)).id, TIMEOUT)
        assert picture is not None
        assert picture.state == "done"
        now = queue.get(job.id)
        assert now is not None
        assert now.state == "running"  # it was not in the way, and has not been ended
        while now.eta is None:  # known once it goes on
            now = after_step(queue, job, now.pictures[0].step + 1)
        queue.cancel(job.id)
        end = queue.wait(job.id, TIMEOUT)
        assert end is not None
        assert end.state == "cancelled"
        made = runs.read_run(output).step
        assert made >= 3
        assert [path.name for path in output.glob("checkpoint-*")] == [f"checkpoint-{made}"]
    with open_front_door(home) as door:
        again = door.queue.submit(training(data, output, made + 2))
        end = door.queue.wait(again.id, TIMEOUT)
        assert end is not None
        assert end.state == "done", end.error
        assert end.progress == 1.0
    run = runs.read_run(output)
    assert run.finished
    assert [step for step, _ in run.losses] == list(range(1, made + 3))


def test_what_is_wrong_with_it_is_the_trainers_one_line(home: Path, tmp_path: Path) -> None:
    with open_front_door(home) as door:
        job = door.queue.submit(training(tmp_path / "nothing", home / "run", 5))
        end = door.queue.wait(job.id, TIMEOUT)
    assert end is not None
    assert (end.state, end.error_kind) == ("failed", "TrainingError")
    assert "nothing" in str(end.error)
    assert not str(end.error).startswith("error: ")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rank": 0}, "--rank 0 is not 1 or more"),
        ({"colour": "red"}, "this is no training"),
        ({"optimizer": "magic"}, "--optimizer 'magic' is not one of"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_starts(
    data: Path, home: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(StudioError, match=said) as caught:
        list(TrainingRunner().run(training(data, home / "run", 5, **changed), threading.Event()))
    assert isinstance(caught.value, InputError | TrainingError)
    assert not (home / "run").exists()


def test_a_training_is_read_as_it_was_written_and_its_settings_become_flags(data: Path, home: Path) -> None:
    spec = training(data, home / "run", 5, center_crop=True, random_flip=False)
    assert JobSpec.from_dict(spec.to_dict()) == spec
    assert spec.training is not None
    flags = arguments(spec.training)
    assert "--center_crop" in flags
    assert "--max_train_steps=5" in flags
    assert not [flag for flag in flags if flag.startswith("--random_flip")]
    assert replace(spec, training=None).kind == "pictures"
