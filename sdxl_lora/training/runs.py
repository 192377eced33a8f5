"""Training runs on disk, for whoever shows them: what was set, how the loss went, what was drawn, what came out.

Reads only what `journal` and `export` wrote; a run that is still going, or was interrupted, reads as far as it got.
Starts nothing and loads no model, and does not import torch.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdxl_lora import plain_json

METRICS_NAME = "metrics.jsonl"
BASE_MODEL = "pretrained_model_name_or_path"  # the setting that names the model the LoRA is for
_LORA_NAME = "pytorch_lora_weights.safetensors"
_SMOOTHING = 0.9  # of the running mean beside the losses


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Validation pictures after `step` updates."""

    step: int
    pictures: tuple[Path, ...]
    prompts: tuple[str, ...]  # one per picture
    scores: tuple[float, ...]  # one per picture, or none


@dataclass(frozen=True, kw_only=True)
class Run:
    """One output folder."""

    folder: Path
    losses: tuple[tuple[int, float], ...]  # (update, loss)
    drawn: tuple[Drawn, ...]
    prompt: str | None  # the first that was drawn, also if its picture is not there any more
    settings: dict[str, Any]  # empty until the first checkpoint
    lora: Path | None  # the finished LoRA, else that of the newest checkpoint
    finished: bool
    validation_losses: tuple[tuple[int, float], ...] = ()  # (update, loss of the pictures held out)
    problems: tuple[
        str, ...
    ] = ()  # what could not be read and is left out, in sentences without their full stop

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def step(self) -> int:
        """Updates made."""
        return self.losses[-1][0] if self.losses else 0

    @property
    def example(self) -> str | None:
        """A sentence that shows what the LoRA learned: the first that was drawn, else its trigger words."""
        return self.prompt or self.settings.get("trigger_words")

    def smoothed(self) -> list[tuple[int, float]]:
        """(update, running mean of the loss), without the pull towards 0 at the start."""
        mean, weight, found = 0.0, 0.0, []
        for step, loss in self.losses:
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            weight = _SMOOTHING * weight + (1 - _SMOOTHING)
            found.append((step, mean / weight))
        return found


def list_runs(folder: Path) -> list[Run]:
    """All runs in a folder or one level below it, the one written to last first."""
    journals = [*folder.glob(METRICS_NAME), *folder.glob(f"*/{METRICS_NAME}")]
    newest_first = sorted(journals, key=lambda path: path.stat().st_mtime, reverse=True)
    return [read_run(path.parent) for path in newest_first]


def read_run(folder: Path) -> Run:
    """One run, as far as it got and can be read."""
    lines, unreadable = _lines(folder)
    checkpoints = [path for path in folder.glob("checkpoint-*") if (path / "manifest.json").is_file()]
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime, default=None)
    finished = (folder / _LORA_NAME).is_file()
    source = folder if finished else newest
    settings = _settings(source / "config.json") if source else {}
    drawn = [_drawn(folder, line) for line in lines if "pictures" in line]
    gone = sum(len(line["pictures"]) for line in lines if "pictures" in line) - sum(
        len(item.pictures) for item in drawn
    )
    problems = {
        f"unreadable lines in {METRICS_NAME}: {unreadable}": unreadable > 0,
        f"validation pictures that are not there any more: {gone}": gone > 0,
        "the settings, config.json, cannot be read": settings is None,
    }
    return Run(
        folder=folder,
        losses=_numbers(lines, "loss"),
        validation_losses=_numbers(lines, "validation_loss"),
        drawn=tuple(item for item in drawn if item.pictures),
        prompt=next((prompt for line in lines for prompt in line.get("prompts", ())), None),
        settings=settings or {},
        lora=(source / _LORA_NAME).resolve() if source else None,
        finished=finished,
        problems=tuple(text for text, true in problems.items() if true),
    )


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`. A half-written last line is left out, and so are lines that a crash of
    the machine made unreadable.
    """
    return _lines(folder)[0]


def _lines(folder: Path) -> tuple[list[dict[str, Any]], int]:
    """(readable lines, unreadable ones), without a half-written last one."""
    path = folder / METRICS_NAME
    if not path.is_file():
        return [], 0
    whole = [
        line
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if line.endswith("\n")
    ]
    values = [_object(line) for line in whole]
    read = [value for value in values if value is not None and isinstance(value.get("step"), int)]
    return read, len(whole) - len(read)


def _object(text: str) -> dict[str, Any] | None:
    """A JSON object, or nothing."""
    try:
        value = plain_json.parse(text)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _numbers(lines: list[dict[str, Any]], name: str) -> tuple[tuple[int, float], ...]:
    """(update, number) of every line that has a number under `name`."""
    return tuple(
        (int(line["step"]), float(line[name])) for line in lines if isinstance(line.get(name), int | float)
    )


def _drawn(folder: Path, line: dict[str, Any]) -> Drawn:
    """The pictures that are still there, each with its prompt and score."""
    paths = [folder / "validation" / name for name in line["pictures"]]
    there = [number for number, path in enumerate(paths) if path.is_file()]
    prompts, scores = list(line.get("prompts", ())), list(line.get("scores", ()))
    return Drawn(
        step=int(line["step"]),
        pictures=tuple(paths[number] for number in there),
        prompts=tuple(prompts[number] for number in there if number < len(prompts)),
        scores=tuple(scores[number] for number in there if number < len(scores)),
    )


def _settings(path: Path) -> dict[str, Any] | None:
    """`None`: they are there and cannot be read."""
    return _object(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}
