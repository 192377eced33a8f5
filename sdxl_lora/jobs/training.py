"""Trains a LoRA as a job: the trainer runs in a process of its own, and saves what it has when it is asked to stop.

Started again, it goes on from its newest checkpoint. Somebody who sits and waits for pictures is served in between:
the process is halted for as long as that takes.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sdxl_lora import files
from sdxl_lora.errors import Cancelled, MemoryLimitError, TrainingError
from sdxl_lora.jobs.at_first_job import AtFirstJob
from sdxl_lora.jobs.events import ServingEvent
from sdxl_lora.jobs.spec import JobSpec, TrainingWish
from sdxl_lora.jobs.task import Task, Trained
from sdxl_lora.training import runs
from sdxl_lora.training.config import TrainingConfig

LOG_NAME = "trainer.log"
LOOKS_EVERY = 0.5  # seconds
STOPS_IN = 120.0  # seconds for the running update and its checkpoint, then it is ended
_HELD = "another run (process"  # what the trainer says while the one before is still saving
_WAITS = 60.0  # seconds for that


def arguments(wish: TrainingWish) -> list[str]:
    """The settings as flags of the training script. Raises `InputError` for one that does not fit."""
    settings = {"resume_from_checkpoint": "latest", **dict(wish.settings)}
    try:
        TrainingConfig(**settings)  # type: ignore[arg-type]  # wrong ones are refused here
    except TypeError as error:
        raise TrainingError(f"this is no training: {error}") from error
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in settings.items()]
    return [flag for flag, value in zip(flags, settings.values(), strict=True) if value is not False]


class TrainingRunner:
    """Runs trainings for the queue."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, spec: JobSpec, cancel: threading.Event) -> Iterator[ServingEvent]:
        """`Trained` now and then until it is done. Raises `Cancelled` once what it had is saved, `TrainingError`,
        `MemoryLimitError` where the system ended it.
        """
        wish = spec.training
        assert wish is not None
        flags, folder, steps = arguments(wish), Path(str(wish["output_dir"])), int(wish["max_train_steps"])
        with files.storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _WAITS
        while True:
            try:
                yield from self._once(flags, folder, steps, cancel)
            except TrainingError as error:
                # the process of a run that was killed still saves its checkpoint
                if not str(error).startswith(_HELD) or time.monotonic() > deadline:
                    raise
                if cancel.wait(2 * LOOKS_EVERY):
                    raise Cancelled("cancelled") from error
            else:
                return

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """Inside, the training stands still and leaves the processor to others."""
        process = self._process
        if process is None or not hasattr(signal, "SIGSTOP"):
            yield
            return
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def _once(
        self, flags: list[str], folder: Path, steps: int, cancel: threading.Event
    ) -> Iterator[ServingEvent]:
        command = [sys.executable, "-m", "sdxl_lora.jobs.trainer", *flags]
        with files.storage_errors(folder / LOG_NAME), (folder / LOG_NAME).open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(), cwd=Path.cwd()
            )
        self._process = process
        try:
            yield Trained(step=_done(folder), steps=steps)
            while process.poll() is None:
                if cancel.wait(LOOKS_EVERY):
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(STOPS_IN)
                    raise Cancelled("stopped; what was trained is kept")
                yield Trained(step=_done(folder), steps=steps)
            _raise_failure(process.returncode, folder)
            yield Trained(step=steps, steps=steps)
        finally:
            self._process = None
            self._end(process)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """Nothing of it stays behind, whatever ended the job."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOPS_IN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdin is not None:
            process.stdin.close()


class Runners:
    """The queue's runner: pictures, or a training."""

    def __init__(self, pictures: AtFirstJob, training: TrainingRunner) -> None:
        self._pictures = pictures
        self._training = training

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task | None = None
    ) -> Iterator[ServingEvent]:
        """As the runner of its kind."""
        if spec.training is not None:
            yield from self._training.run(spec, cancel or threading.Event())
            return
        yield from self._pictures.run(spec, cancel=cancel, task=task or Task())

    def ready(self) -> bool:
        """Always: this process draws."""
        return True

    def halted(self) -> contextlib.AbstractContextManager[None]:
        """Inside, a training that runs stands still."""
        return self._training.halted()


def _environment() -> dict[str, str]:
    """One process on one device, whatever launched this one."""
    launched = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    return {name: value for name, value in os.environ.items() if name not in launched}


def _done(folder: Path) -> int:
    """Updates in the journal."""
    with contextlib.suppress(OSError):
        lines = runs.read_journal(folder)
        return max((int(line["step"]) for line in lines if "loss" in line), default=0)
    return 0


def _raise_failure(code: int, folder: Path) -> None:
    if code == 0:
        return
    if code == -signal.SIGKILL:
        raise MemoryLimitError(
            "the system ended the training, perhaps for want of memory; try a smaller batch or size"
        )
    said = ""
    with contextlib.suppress(OSError):
        lines = (folder / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
        said = next(
            (line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else ""
        )
    raise TrainingError(
        said.removeprefix("error: ") or f"the training ended with code {code}; see {folder / LOG_NAME}"
    )
