"""A process that draws slowly, for tests that kill it: `python -m tests.jobs.drawing HOME serve|submit ...`."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

from sdxl_lora.jobs import attempts
from sdxl_lora.jobs.events import Recorded, ServingEvent
from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.request import GenerationRequest

SIZE = 64  # px


def spec(prompt: str, count: int, **more: Any) -> JobSpec:
    """A job of small pictures of one step."""
    request = GenerationRequest(
        prompt=prompt, model="mini", steps=2, width=SIZE, height=SIZE, count=count, precision="fp32"
    )
    return JobSpec(request=request, **more)


def main(home: Path, pause: float) -> None:
    """Works at the jobs under `home` until it is killed, waiting so many seconds after each picture."""
    run = attempts.BestOfNRunner.run

    def slow(self: attempts.BestOfNRunner, spec: JobSpec, **more: Any) -> Iterator[ServingEvent]:
        cancel: Event = more["cancel"]
        for event in run(self, spec, **more):
            yield event
            if isinstance(event, Recorded):
                print("drawn", event.index, flush=True)
                cancel.wait(pause)

    attempts.BestOfNRunner.run = slow  # type: ignore[method-assign]  # the same, with pauses
    with open_front_door(home, serves=True):
        print("ready", flush=True)
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
