"""The record of a run in its output folder: `metrics.jsonl`, validation pictures, and the trackers asked for.

A continued run drops the lines after its checkpoint first, so that every update is in the file once.
`runs` reads it.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from sdxl_lora.errors import StorageError
from sdxl_lora.training.checkpoints import reason
from sdxl_lora.training.events import StepRecord, Validated, ValidationLoss
from sdxl_lora.training.runs import METRICS_NAME, read_journal

PICTURES_NAME = "validation"


class Journal:
    """Writes what happens; only the main process has one."""

    def __init__(self, folder: Path, start: int, accelerator: Accelerator) -> None:
        """`start`: updates made so far; later lines of an interrupted run are dropped."""
        self._folder, self._accelerator = folder, accelerator
        with self._storing():
            folder.mkdir(parents=True, exist_ok=True)
            kept = [line for line in read_journal(folder) if line["step"] <= start] if start else []
            text = "".join(json.dumps(line) + "\n" for line in kept)
            (folder / METRICS_NAME).write_text(text, encoding="utf-8")
            self._file = (folder / METRICS_NAME).open("a", encoding="utf-8")

    def step(self, record: StepRecord) -> None:
        """One line per update. Raises `StorageError` when it cannot be written, as all of these do."""
        values: dict[str, Any] = {
            "loss": record.loss,
            "lr": record.learning_rate,
            "grad_norm": record.grad_norm,
            "epoch": record.epoch,
            "images_per_second": record.pictures / record.seconds,
        }
        values |= {f"loss_for_{name}": loss for name, loss in record.losses}
        with self._storing():
            self._write({"step": record.step, "skipped": record.skipped, **values})
            self._accelerator.log({"train_loss": record.loss, **values}, step=record.step)

    def validated(self, record: Validated) -> None:
        """Pictures as `validation/000500-0.png`, one line with prompts and scores."""
        pictures = self._folder / PICTURES_NAME
        names = [f"{record.step:06d}-{index}.png" for index in range(len(record.images))]
        line: dict[str, Any] = {"step": record.step, "pictures": names, "prompts": list(record.prompts)}
        if record.scores:
            line["scores"] = list(record.scores)
        with self._storing():
            pictures.mkdir(exist_ok=True)
            for name, image in zip(names, record.images, strict=True):
                image.save(pictures / name)
            self._write(line)
            self._track(record)

    def validation_loss(self, record: ValidationLoss) -> None:
        """One line whenever it was measured; that of step 0 is before the first update."""
        values = {"validation_loss": record.loss, "validation_pictures": record.pictures}
        with self._storing():
            self._write({"step": record.step, **values})
            self._accelerator.log(values, step=record.step)

    def close(self) -> None:
        self._file.close()
        self._accelerator.end_training()

    def _track(self, record: Validated) -> None:
        if record.scores:
            self._accelerator.log({"clip_score": float(np.mean(record.scores))}, step=record.step)
        for tracker in self._accelerator.trackers:
            if record.images and hasattr(tracker, "log_images"):
                layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
                pixels = np.stack([np.asarray(image) for image in record.images])
                tracker.log_images({"validation": pixels}, step=record.step, **layout)

    def _write(self, line: dict[str, Any]) -> None:
        finite = {
            key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in line.items()
        }
        self._file.write(json.dumps(finite) + "\n")
        self._file.flush()

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{self._folder} cannot be written: {reason(error, self._folder)}; checkpoints are intact"
            ) from None
