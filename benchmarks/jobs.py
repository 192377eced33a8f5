"""What the queue and the records cost: pictures as jobs, against the same ones drawn, judged and kept nowhere.

    python -m benchmarks.jobs [--model mini] [--steps 4] [--pictures 16] [--rounds 3] [--json]

Both sides draw the same requests one by one, judge them, write and sign their files; the bare loop drops these, a job
goes through the line, its place, the file system and the database. They take turns, the first round of each warms up
and is not counted. Wall clock and processor seconds per picture; on a machine that does other work, the second is the
one to go by. The bar is under 5 % (issue "from one picture to a catalogue"). `DATABASE_URL` measures PostgreSQL.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sdxl_lora import generation
from sdxl_lora.finishing.chain import Chain, Piece, Stage
from sdxl_lora.generation import PictureDone
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.models import conversions
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, ResolvedRequest

PROMPT = "top, Northpeak Tee Navy, a photography of a navy t-shirt, studio background"


def bare(door: FrontDoor, requests: list[ResolvedRequest]) -> None:
    """Drawn, judged, written and signed; kept nowhere."""
    chain = Chain([step for step in door.studio._chain.steps if step.stage != Stage.STORE])
    for request in requests:
        for event in generation.generate(load(ModelConfig.of(request)), request):
            if isinstance(event, PictureDone):
                chain(Piece(image=event.image, request=event.drawn(request.for_picture(event.index))))


def jobs(door: FrontDoor, requests: list[ResolvedRequest]) -> None:
    """The same as jobs of a batch."""
    made = door.queue.submit_all([JobSpec(request=request, priority="batch") for request in requests])
    for job in made:
        ended = door.queue.wait(job.id)
        if ended is not None:
            ended.raise_error()


def timed(run: Callable[[], None], pictures: int) -> tuple[float, float]:
    """(wall, processor) seconds per picture."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return (time.perf_counter() - wall) / pictures, (time.process_time() - processor) / pictures


def main() -> None:
    """Measures, and prints a table or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wish = GenerationRequest(prompt=PROMPT, model=arguments.model, steps=arguments.steps, seed=0)
    resolved = generation.resolve(wish)
    requests = [resolved.for_picture(index) for index in range(arguments.pictures)]
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "jobs": []}
    with tempfile.TemporaryDirectory() as folder, open_front_door(Path(folder)) as door:
        bare(door, requests[:1])
        conversions.wait()  # it would share the processors with some rounds, and change the engine between two
        for number in range(arguments.rounds + 1):
            for name, run in (("bare", bare), ("jobs", jobs)):
                measured = timed(lambda run=run: run(door, requests), arguments.pictures)  # type: ignore[misc]
                if number:
                    found[name].append(measured)
    result: dict[str, float] = {}
    for place, kind in enumerate(("wall", "processor")):
        one, other = (statistics.median(row[place] for row in found[name]) for name in ("bare", "jobs"))
        result |= {
            f"bare_{kind}_seconds": one,
            f"jobs_{kind}_seconds": other,
            f"{kind}_overhead": other / one - 1,
        }
    if arguments.json:
        print(json.dumps(result))
        return
    for kind in ("wall", "processor"):
        print(
            f"{kind}: bare {result[f'bare_{kind}_seconds'] * 1000:.1f} ms, as jobs"
            f" {result[f'jobs_{kind}_seconds'] * 1000:.1f} ms a picture: {result[f'{kind}_overhead']:+.1%}"
        )


if __name__ == "__main__":
    main()
