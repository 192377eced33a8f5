"""What a cluster brings and costs: two workers against one, the queue's share, and where one studio is the limit.

    python -m benchmarks.cluster [--steps 4] [--pictures 24] [--rounds 2] [--gpu-seconds 2.46] [--json]

Starts a Ray cluster of several nodes on this machine (`ray.cluster_utils.Cluster`), each with one processor, and lets
one and then two workers of one thread draw the same batch on the bundled model; the bare loop draws, judges and writes
the same pictures in this process, with one thread, and asks nobody. What the machine itself lets two workers gain is
measured beside it: bare loops of two processes at once against one of them alone; the studio and Ray's own processes
share the same processors and can only take from that. What the studio itself spends on a picture (line,
signature, record) is measured as processor time of this process, and, apart, on pictures of 1024 px; where machines
draw faster than it can record, more of them bring nothing. The table for GPUs is a calculation from these figures and
from `--gpu-seconds` for each picture, which stands in docs/log.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sdxl_lora import generation
from sdxl_lora.cluster import door
from sdxl_lora.cluster.drawer import Drawer
from sdxl_lora.cluster.order import Drawn, Order
from sdxl_lora.cluster.ray import Pool
from sdxl_lora.finishing.chain import Piece
from sdxl_lora.finishing.embedding import Embed
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from sdxl_lora.scoring.card import ScoreCard

PROMPT = "top, Northpeak Tee Navy, a photography of a navy t-shirt, studio background"
STORE = 80 * 2**20  # bytes of each node's object store
SIDE = 1024  # px
FLEETS = (1, 8, 64)  # GPUs


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """The address of one with so many nodes of one processor, and a head that draws nothing."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            made.add_node(num_cpus=1, object_store_memory=STORE)
        yield made.address
    finally:
        made.shutdown()


def jobs(there: FrontDoor, requests: list[ResolvedRequest]) -> tuple[float, float]:
    """Wall clock and processor seconds of this process for each picture of a batch."""
    wall, processor = time.perf_counter(), time.process_time()
    asked = there.queue.submit_all([JobSpec(request=request, priority="batch") for request in requests])
    for job in asked:
        ended = there.queue.wait(job.id)
        assert ended is not None
        ended.raise_error()
    return (time.perf_counter() - wall) / len(requests), (time.process_time() - processor) / len(requests)


def bare(requests: list[ResolvedRequest]) -> float:
    """Seconds for each picture, drawn, judged and written with one thread, kept nowhere."""
    drawer = Drawer(lambda data: data, threads=1)
    started = time.perf_counter()
    for number, request in enumerate(requests):
        order = Order(
            ticket=str(number),
            spec=JobSpec(request=request, priority="batch"),
            done=frozenset(),
            files=(),
            made_from=(),
            calibrations=b"",
            preference=None,
            explain=False,
            settings={},
        )
        assert sum(isinstance(event, Drawn) for some in drawer.draw(order) for event in some) == 1
    return (time.perf_counter() - started) / len(requests)


@contextmanager
def bare_process(steps: int, pictures: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that draws the bare loop once for each line it is sent, and answers with `bare`'s seconds."""
    command = [sys.executable, "-m", "benchmarks.cluster", "--bare-loop"]
    more = ["--steps", str(steps), "--pictures", str(pictures)]
    with subprocess.Popen(
        [*command, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()  # ends it


def ceiling(steps: int, pictures: int, rounds: int) -> float:
    """How many times as much two processes draw at once as one alone."""
    with bare_process(steps, pictures) as first, bare_process(steps, pictures) as second:
        _raced([first, second])  # loads
        gains = []
        for _ in range(rounds):
            [alone] = _raced([first])
            gains.append(sum(alone / together for together in _raced([first, second])))
    return statistics.median(gains)


def _raced(processes: "list[subprocess.Popen[str]]") -> list[float]:
    """What each says when all draw at the same time."""
    for process in processes:
        assert process.stdin is not None
        print(file=process.stdin, flush=True)
    found = []
    for process in processes:
        assert process.stdout is not None
        found.append(float(process.stdout.readline()))
    return found


def answer(steps: int, pictures: int) -> None:
    """What `bare_process` runs."""
    requests = wishes(steps, pictures)
    for _ in sys.stdin:
        print(bare(requests), flush=True)


def wishes(steps: int, pictures: int) -> list[ResolvedRequest]:
    """The batch."""
    resolved = generation.resolve(GenerationRequest(prompt=PROMPT, model="mini", steps=steps, seed=0))
    return [resolved.for_picture(index) for index in range(pictures)]


def recording(number: int) -> float:
    """Processor seconds that signing and recording a picture of 1024 px take."""
    noise = np.random.default_rng(0).normal(128, 12, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    request = generation.resolve(GenerationRequest(prompt=PROMPT, model="mini", seed=0))
    with tempfile.TemporaryDirectory() as folder, open_front_door(Path(folder)) as there:
        piece = Piece(image=Image.fromarray(noise), request=request, card=ScoreCard())
        piece = Embed(there.studio.store.get)(piece)
        there.studio.record(piece)  # the certificate is made
        started = time.process_time()
        for _ in range(number):
            there.studio.record(piece)
        return (time.process_time() - started) / number


def fleet(gpus: int, gpu_seconds: float, studio_seconds: float) -> dict[str, float]:
    """What so many GPUs make in an hour, by calculation; one processor of the studio records for all."""
    most = min(gpus / gpu_seconds, 1 / studio_seconds)
    return {"gpus": gpus, "pictures_an_hour": round(most * 3600), "busy": round(most * gpu_seconds / gpus, 3)}


def measure(steps: int, pictures: int, rounds: int, gpu_seconds: float) -> dict[str, Any]:
    """All of it."""
    requests = wishes(steps, pictures)
    most = ceiling(steps, pictures, rounds)
    walls: dict[int, list[float]] = {1: [], 2: []}
    spent: list[float] = []
    bare(requests[:2])
    loop = statistics.median(bare(requests) for _ in range(rounds))
    with cluster(nodes=2) as address:
        for workers in (1, 2):
            pool = Pool(address=address, workers=workers, threads=1)
            with tempfile.TemporaryDirectory() as home, door.opened(Path(home), pool) as there:
                jobs(there, [replace(one, seed=one.seed + 1_000) for one in requests[: 6 * workers]])  # loads
                for _ in range(rounds):
                    wall, processor = jobs(there, requests)
                    walls[workers].append(wall)
                    spent.append(processor)
    one, two = (statistics.median(walls[workers]) for workers in (1, 2))
    line, record = statistics.median(spent), recording(20)
    studio = line + record  # what a small picture's record costs is in both; the larger error is the safe one
    return {
        "load": os.getloadavg()[0],
        "bare_seconds": loop,
        "one_worker_seconds": one,
        "two_workers_seconds": two,
        "two_against_one": one / two,
        "two_bare_processes_against_one": most,
        "queue_share": one / loop - 1,
        "studio_seconds": line,
        "recording_1024_seconds": record,
        "gpu_seconds": gpu_seconds,
        "limit_pictures_an_hour": round(3600 / studio),
        "limit_gpus": round(gpu_seconds / studio, 1),
        "fleets": [fleet(gpus, gpu_seconds, studio) for gpus in FLEETS],
    }


def main() -> None:
    """Measures, and prints a page or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--gpu-seconds", type=float, default=2.46, help="of one GPU for a picture (2.46)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bare-loop", action="store_true", help=argparse.SUPPRESS)  # see `bare_process`
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)  # of Ray's processes
    torch.set_num_threads(1)
    if arguments.bare_loop:
        answer(arguments.steps, arguments.pictures)
        return
    found = measure(arguments.steps, arguments.pictures, arguments.rounds, arguments.gpu_seconds)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"load of the machine {found['load']:.1f}, threads {threading.active_count()}")
    print(
        f"bare loop {found['bare_seconds'] * 1000:.0f} ms a picture, one worker"
        f" {found['one_worker_seconds'] * 1000:.0f} ms ({found['queue_share']:+.1%}; bar 5 %), two workers"
        f" {found['two_workers_seconds'] * 1000:.0f} ms: {found['two_against_one']:.2f} times (bar 1.8)"
    )
    print(
        f"two bare loops at once, in processes of their own: {found['two_bare_processes_against_one']:.2f} times one"
    )
    print(
        f"the studio spends {found['studio_seconds'] * 1000:.1f} ms of a processor on a picture, and"
        f" {found['recording_1024_seconds'] * 1000:.1f} ms on signing and recording one of {SIDE} px"
    )
    print(f"calculated, {found['gpu_seconds']:g} s a picture on a GPU, one processor that records:")
    for row in found["fleets"]:
        print(
            f"  {row['gpus']:3d} GPUs: {row['pictures_an_hour']:6d} pictures an hour, {row['busy']:.0%} busy"
        )
    print(
        f"  more than {found['limit_gpus']:g} GPUs bring nothing: {found['limit_pictures_an_hour']} an hour"
    )


if __name__ == "__main__":
    main()
