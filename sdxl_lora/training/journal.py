"""The record of a run in its output folder: `metrics.jsonl`, validation pictures, and the trackers asked for.

A continued run drops the lines after its checkpoint first, so that every update is in the file once.
`runs` reads it.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from sdxl_lora.errors import StorageError
from sdxl_lora.training.events import StepRecord, Validated
from sdxl_lora.training.runs import METRICS_NAME, read_journal

PICTURES_NAME = "validation"


class Journal:
    """Writes what happens; only the main process has one."""

    def __init__(self, folder: Path, start: int, accelerator: Accelerator) -> None:
        """`start`: updates made so far; later lines of an interrupted run are dropped."""
        self._folder, self._accelerator = folder, accelerator
        folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_journal(folder) if line["step"] <= start] if start else []
        text = "".join(json.dumps(line) + "\n" for line in kept)
        (folder / METRICS_NAME).write_text(text, encoding="utf-8")
        self._file = (folder / METRICS_NAME).open("a", encoding="utf-8")

    def step(self, record: StepRecord) -> None:
        """One line per update."""
        values: dict[str, Any] = {
            "loss": record.loss,
            "lr": record.learning_rate,
            "grad_norm": record.grad_norm,
            "epoch": record.epoch,
            "images_per_second": record.pictures / record.seconds,
        }
        values |= {f"loss_for_{name}": loss for name, loss in record.losses}
        self._write({"step": record.step, "skipped": record.skipped, **values})
        self._accelerator.log({"train_loss": record.loss, **values}, step=record.step)

    def validated(self, record: Validated) -> None:
        """Pictures as `validation/000500-0.png`, one line with prompts and scores."""
        pictures = self._folder / PICTURES_NAME
        pictures.mkdir(exist_ok=True)
        names = [f"{record.step:06d}-{index}.png" for index in range(len(record.images))]
        for name, image in zip(names, record.images, strict=True):
            image.save(pictures / name)
        line: dict[str, Any] = {"step": record.step, "pictures": names, "prompts": list(record.prompts)}
        if record.scores:
            line["scores"] = list(record.scores)
            self._accelerator.log({"clip_score": float(np.mean(record.scores))}, step=record.step)
        self._write(line)
        for tracker in self._accelerator.trackers:
            if record.images and hasattr(tracker, "log_images"):
                layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
                pixels = np.stack([np.asarray(image) for image in record.images])
                tracker.log_images({"validation": pixels}, step=record.step, **layout)

    def close(self) -> None:
        self._file.close()
        self._accelerator.end_training()

    def _write(self, line: dict[str, Any]) -> None:
        finite = {
            key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in line.items()
        }
        try:
            self._file.write(json.dumps(finite) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"{self._folder} cannot be written: {error.strerror}; checkpoints are intact"
            ) from None
