"""The runner of this process: what draws is imported when the first job comes, so that a queue opens without torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sdxl_lora import later
from sdxl_lora.feedback.reviews import Taste
from sdxl_lora.jobs.events import ServingEvent
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.task import Task

if TYPE_CHECKING:
    from sdxl_lora.jobs.studio import Studio


class AtFirstJob:
    """Runs jobs as `attempts.BestOfNRunner` does, which it makes when the first one comes."""

    def __init__(self, studio: Callable[[], Studio], reviews: Taste | None) -> None:
        self._studio = studio
        self._reviews = reviews

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task | None = None
    ) -> Iterator[ServingEvent]:
        """As `BestOfNRunner.run`."""
        with later.importing():
            from sdxl_lora.jobs.attempts import BestOfNRunner
        runner = BestOfNRunner(self._studio(), self._reviews)
        yield from runner.run(spec, cancel=cancel, task=task or Task())

    def ready(self) -> bool:
        """Always: this process draws."""
        return True
