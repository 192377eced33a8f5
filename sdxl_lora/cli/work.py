"""`work`: draws what others ask for, one process for each device, until it is stopped.

For a second device, another machine (with `DATABASE_URL`), or pictures that go on while no app runs.
"""

import argparse
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from sdxl_lora import config
from sdxl_lora.cli import terminal
from sdxl_lora.errors import RequestError

if TYPE_CHECKING:
    from sdxl_lora.jobs.front_door import FrontDoor

_LOOKS_EVERY = 0.5  # seconds
_MOST_THREADS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of a worker; which GPU it is says `CUDA_VISIBLE_DEVICES`, as everywhere."""
    parser.add_argument("--until-empty", action="store_true", help="end when no job waits or runs any more")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="processor threads (default: PyTorch's choice)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print what was drawn as one JSON object at the end"
    )


def run(arguments: argparse.Namespace) -> int:
    """Works until a signal comes, or nothing is left. Raises `RequestError`, `StorageError`."""
    if arguments.threads is not None and not 1 <= arguments.threads <= _MOST_THREADS:
        raise RequestError(f"--threads {arguments.threads}: a number from 1 to {_MOST_THREADS} is needed")
    import torch

    from sdxl_lora.jobs.front_door import open_front_door

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, lambda *_: stopped.set())
        with open_front_door(config.home(), explain=True, serves=True) as door:
            terminal.note(f"process {os.getpid()} works at the jobs of {door.database.name}; Ctrl+C ends it")
            summary = _work(door, stopped, until_empty=arguments.until_empty)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arguments.json:
        terminal.print_json(summary)
    return 0


def _work(door: "FrontDoor", stopped: threading.Event, *, until_empty: bool) -> dict[str, float]:
    """Tells of every job that this process ends; returns how many pictures it drew."""
    started = time.monotonic()
    while not stopped.wait(_LOOKS_EVERY):
        if until_empty and not door.queue.busy():
            break
    drawn = door.queue.drawn
    terminal.note(f"{drawn} pictures drawn by this process; what is left goes on with the next worker")
    return {"pictures": drawn, "seconds": round(time.monotonic() - started, 3)}
