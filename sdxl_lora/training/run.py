"""What a person sees of a training run: the command line's main function, its progress bar, its last line.

Everything that is learned is in `loop`; this file turns events into lines, files and tracker entries.
"""

import math
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import diffusers
import torch
import transformers
from tqdm import tqdm

from sdxl_lora.errors import StudioError
from sdxl_lora.training import checkpoints, estimates, flags, hub_upload, lock, loop, report, stopping
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.events import (
    Encoded,
    Event,
    Notice,
    Saved,
    Started,
    StepRecord,
    Validated,
    ValidationLoss,
)
from sdxl_lora.training.journal import Journal
from sdxl_lora.training.setup import Setup, gigabytes, prepare
from sdxl_lora.training.stopping import StopRequest

_SMOOTHING = 0.9  # of the loss that is shown
_LINE_EVERY = 20.0  # seconds between lines where nobody watches a bar
ScorerFor = Callable[[Setup], loop.Scorer | None]


def main(arguments: Sequence[str] | None = None, scorer_for: ScorerFor | None = None) -> int:
    """Trains as `arguments` say. Exit code 0, 2 for anything that must be put right first, 128 and
    the signal's number when stopped by one (Ctrl-C: 130).
    """
    for library in (transformers, diffusers):  # one bar, ours; and no warnings beside one line of error
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    folder = Path()
    try:
        config = flags.parse(sys.argv[1:] if arguments is None else arguments)
        folder = Path(config.output_dir).expanduser()
        first = os.environ.get("RANK", "0") == "0" and not config.dry_run
        with lock.held(folder) if first else nullcontext():
            return _main(config, scorer_for)
    except StudioError as error:
        if os.environ.get("RANK", "0") == "0":
            _say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        _say(f"interrupted; {_how_to_go_on(folder)}")
        return 130


def _main(config: TrainingConfig, scorer_for: ScorerFor | None) -> int:
    setup = prepare(config, _note)
    hub_upload.require_login(config)
    if config.dry_run:
        if setup.accelerator.is_main_process:
            for line in report.dry_run(setup, estimates.estimate(setup)):
                print(line)
        return 0
    with stopping.on_signals() as stop:
        finished = run(setup, scorer_for(setup) if scorer_for else None, stop)
        if not finished:
            if setup.accelerator.is_main_process and stop.signal:
                _say(f"stopped by {stop.signal.name}; {_how_to_go_on(setup.output_dir)}")
            return stop.exit_code
    hub_upload.upload(config, setup)
    return 0


def _how_to_go_on(folder: Path) -> str:
    if any((path / checkpoints.MANIFEST).is_file() for path in checkpoints.candidates(folder)):
        return "start the same command with --resume_from_checkpoint latest to go on"
    return "nothing was saved yet: the same command begins anew"


def run(setup: Setup, score: loop.Scorer | None = None, stop: StopRequest | None = None) -> bool:
    """Runs a prepared setup and tells about it on the main process; whether it came to its end.

    Until the first update there is nothing to save: a signal ends the run at once.
    """
    screen = _Screen(setup) if setup.accelerator.is_main_process else None
    if screen is not None:
        for line in report.summary(setup):
            _say(line)
    finished = False
    try:
        for event in loop.train(setup, score, stop or (lambda: False)):
            if screen is not None:
                screen.show(event)
            if stop is not None and stop() and isinstance(event, Encoded | Notice):
                return False
            finished = isinstance(event, Saved) and event.finished
    finally:
        if screen is not None:
            screen.close()
    return finished or (stop is None or not stop())


class _Screen:
    """The bar, the lines and the journal of the main process."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._journal: Journal | None = None
        self._bar: tqdm[None] | None = None
        self._last_line = 0.0
        self._loss = self._weight = 0.0  # running mean, as the page Training draws it
        self._began, self._start_step = time.monotonic(), 0
        self._watched = sys.stderr.isatty()

    def show(self, event: Event) -> None:
        match event:
            case Notice():
                _say(f"note: {event.text}")
            case Encoded():
                self._advance(f"encoding {event.what}", event.done, event.total, "")
            case Started():
                self._start(event)
            case StepRecord():
                self._step(event)
            case ValidationLoss():
                if self._journal:
                    self._journal.validation_loss(event)
                _say(report.validation_loss(event))
            case Validated():
                if self._journal:
                    self._journal.validated(event)
                _say(report.validated(event, self._setup.output_dir))
            case Saved():
                for line in report.saved(event, self._setup.config, time.monotonic() - self._began):
                    _say(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._journal is not None:
            self._journal.close()

    def _start(self, event: Started) -> None:
        setup = self._setup
        if (
            setup.accelerator.device.type == "cuda"
        ):  # what is shown is the peak of training, not of the caches
            torch.cuda.reset_peak_memory_stats(setup.accelerator.device)
        self._began, self._start_step = time.monotonic(), event.start
        _say(f"training   {event.trained_parameters:,} parameters, updates {event.start} to {event.total}")
        if setup.accelerator.log_with:
            values = {
                k: v for k, v in report.settings(setup.config) if isinstance(v, str | int | float | bool)
            }
            setup.accelerator.init_trackers("text2image-fine-tune", config=values)
        self._journal = Journal(setup.output_dir, event.start, setup.accelerator)

    def _step(self, record: StepRecord) -> None:
        if self._journal:
            self._journal.step(record)
        if math.isfinite(record.loss):
            self._loss = _SMOOTHING * self._loss + (1 - _SMOOTHING) * record.loss
            self._weight = _SMOOTHING * self._weight + (1 - _SMOOTHING)
        rate, loss = record.pictures / record.seconds, self._loss / max(self._weight, 1e-9)
        note = f"loss {loss:.4f}, {rate:.2f} images/s, {memory(self._setup.accelerator.device)}"
        if not self._watched:  # the bar has its own
            each = (time.monotonic() - self._began) / (record.step - self._start_step)
            note += f", {report.duration(each * (self._setup.total - record.step))} left"
        self._advance("training", record.step, self._setup.total, note)

    def _advance(self, what: str, done: int, total: int, note: str) -> None:
        if self._watched:
            if self._bar is None or self._bar.desc != f"{what}: ":
                if self._bar is not None:
                    self._bar.close()
                self._bar = tqdm(
                    total=total, desc=what, initial=done - 1, file=sys.stderr, dynamic_ncols=True
                )
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
        elif done == total or time.monotonic() - self._last_line > _LINE_EVERY:
            self._last_line = time.monotonic()
            _say(f"{what} {done}/{total}" + (f": {note}" if note else ""))


def memory(device: torch.device) -> str:
    """Peak memory so far: of the GPU, or of this process."""
    if device.type == "cuda":
        return gigabytes(torch.cuda.max_memory_allocated(device))
    return gigabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _note(text: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # before there is an accelerator to ask
        _say(f"note: {text}")


def _say(text: str) -> None:
    with tqdm.external_write_mode(file=sys.stderr):
        print(text, file=sys.stderr, flush=True)
