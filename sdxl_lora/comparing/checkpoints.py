"""Which checkpoint of a training is best: each draws the same prompts from the same seeds, and a judge scores them.

Differences are taken picture by picture, so that what a seed does to a picture is not taken for the checkpoint's. Asks
for pictures in the queue like everybody else; knows nothing of pages.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdxl_lora.evaluation.statistics import PairedDifference, paired_difference
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.request import GenerationRequest, LoraSpec

LORA_NAME = "pytorch_lora_weights.safetensors"
SEEDS = 4  # pictures of each prompt
SURE = 0.05  # p of chance alone, below which a difference is called one

Cell = tuple[int, int]  # (prompt, seed)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One LoRA of a run."""

    step: int  # updates; of the finished one: all
    lora: Path
    finished: bool

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.step:,} updates" + (" (finished)" if self.finished else "")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The checkpoint of the highest mean score, and how sure that is."""

    best: Candidate
    mean: float
    second: Candidate | None  # the next best; None: there is no other
    difference: PairedDifference | None  # of these two, picture by picture

    @property
    def sure(self) -> bool:
        """Whether chance alone would rarely put it so far ahead."""
        return self.difference is not None and self.difference.p_value < SURE


def candidates(folder: Path, steps: int) -> list[Candidate]:
    """The checkpoints of a run in their order, and its finished LoRA (`steps` updates) in place of the last."""
    found: dict[int, Candidate] = {}
    for path in folder.glob("checkpoint-*"):
        number = path.name.rpartition("-")[2]
        if number.isdigit() and (path / "manifest.json").is_file() and (path / LORA_NAME).is_file():
            found[int(number)] = Candidate(step=int(number), lora=path / LORA_NAME, finished=False)
    if (folder / LORA_NAME).is_file():
        found[steps] = Candidate(step=steps, lora=folder / LORA_NAME, finished=True)
    return [found[step] for step in sorted(found)]


def specs(
    found: Sequence[Candidate], prompts: Sequence[str], *, model: str, user: str
) -> dict[tuple[Candidate, int], JobSpec]:
    """(candidate, prompt) -> the job of its pictures; asked for again, it is the same job."""
    group = _digest([[str(c.lora) for c in found], list(prompts)])
    made = {}
    for candidate in found:
        for place, prompt in enumerate(prompts):
            request = GenerationRequest(
                prompt=prompt, model=model, loras=(LoraSpec(path=str(candidate.lora)),), count=SEEDS, seed=0
            )
            facts = candidate.lora.stat()
            key = _digest([str(candidate.lora), facts.st_mtime_ns, facts.st_size, prompt, model])
            made[candidate, place] = JobSpec(
                request=request, priority="batch", user=user, group=group, idempotency_key=key
            )
    return made


def verdict(scores: Mapping[Candidate, Mapping[Cell, float]]) -> Verdict | None:
    """The best by the pictures that all candidates have; None while there are none."""
    common = set.intersection(*(set(cells) for cells in scores.values())) if scores else set()
    if not common:
        return None
    cells = sorted(common)
    means = {c: sum(scores[c][cell] for cell in cells) / len(cells) for c in scores}
    # of equals the earlier one: it has changed the model least
    best, *others = sorted(means, key=lambda c: (-means[c], c.step))
    if not others:
        return Verdict(best=best, mean=means[best], second=None, difference=None)
    values = [[scores[c][cell] for cell in cells] for c in (best, others[0])]
    return Verdict(best=best, mean=means[best], second=others[0], difference=paired_difference(*values))


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:24]
