"""Does the loop pay? `python -m benchmarks.feedback [--prompts kept|fresh] [--number 60] [--model mini]`

For every prompt the same first seed is drawn once (single shot), again with other seeds until the threshold is
reached (re-generation), and by the whole loop (sketches where the calibration allows them, other words), which is
also run with smaller budgets. Printed are mean CLIP score, mean attribute accuracy, and UNet forwards per prompt (one
per denoising step, both sides of the guidance counting as one), then the fewest forwards with which the loop has the
mean score that re-generation ends with.

The threshold is a quantile of pictures of other prompts and seeds, made first; they also say how well sketches
foretell the pictures that are finished from them, which decides about sketching. `--rank-correlation` measures only
that. Prompts: `benchmarks/feedback_prompts.txt` (kept), or drawn anew from `--seed` (fresh).

Scores are those of the CLIP that the loop optimises; they say nothing about a judge it has not seen.
"""

import argparse
import itertools
import math
import random
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from sdxl_lora import generation  # noqa: E402
from sdxl_lora.generation import Event  # noqa: E402
from sdxl_lora.mini.captions import caption  # noqa: E402
from sdxl_lora.mini.scene import sample_scene  # noqa: E402
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load  # noqa: E402
from sdxl_lora.request import GenerationRequest, ResolvedRequest  # noqa: E402
from sdxl_lora.scoring.base import default_scorer  # noqa: E402
from sdxl_lora.scoring.card import ScoreCard  # noqa: E402
from sdxl_lora.scoring.verifier import default_verifier  # noqa: E402
from sdxl_lora.search import Finished, Judge, Policy, best_of_n  # noqa: E402
from sdxl_lora.search.calibrating import PER_PROMPT, calibrate  # noqa: E402
from sdxl_lora.search.calibration import QUANTILE, Calibration, SketchSample  # noqa: E402

KEPT = Path(__file__).with_name("feedback_prompts.txt")
BAR = 0.6  # of the forwards that re-generation needs
_CALIBRATION_SEED = 1_000_000  # far from the seeds that are measured


@dataclass(frozen=True)
class Outcome:
    """What one way of making one picture came to."""

    score: float
    accuracy: float  # share of the attributes that show
    forwards: int
    attempts: int


class Remembering:
    """Generator and judge that do nothing twice: policies begin with the same pictures, and all count them in full."""

    def __init__(self, model: LoadedModel, judge: Judge) -> None:
        self._model = model
        self._judge = judge
        self._drawn: dict[ResolvedRequest, list[Event]] = {}
        self._judged: dict[tuple[int, bool], ScoreCard] = {}  # by the picture, which `_drawn` keeps

    def __call__(self, request: ResolvedRequest, *, cancel: threading.Event | None = None) -> Iterator[Event]:
        if request not in self._drawn:
            self._drawn[request] = list(generation.generate(self._model, request, cancel=cancel))
        yield from self._drawn[request]

    @property
    def notices(self) -> tuple[str, ...]:
        return self._judge.notices

    def judge(
        self, images: Sequence[Image.Image], request: ResolvedRequest, *, sketch: bool = False
    ) -> list[ScoreCard]:
        for image in images:
            if (id(image), sketch) not in self._judged:
                [self._judged[id(image), sketch]] = self._judge.judge([image], request, sketch=sketch)
        return [self._judged[id(image), sketch] for image in images]


def fresh_prompts(number: int, seed: int) -> list[str]:
    """Captions of scenes drawn from `seed`; not the kept ones."""
    rng, kept = random.Random(seed), set(KEPT.read_text(encoding="utf-8").splitlines())
    drawn = (caption(sample_scene(rng), rng, full=True) for _ in itertools.count())
    return list(itertools.islice((text for text in drawn if text not in kept), number))


def calibration_of(base: GenerationRequest, number: int) -> Calibration:
    """Scores of about `number` pictures, a few of each prompt, none of which is measured."""
    texts = fresh_prompts(-(-number // PER_PROMPT), seed=_CALIBRATION_SEED)
    requests = (
        replace(base, prompt=text, seed=_CALIBRATION_SEED + PER_PROMPT * index, count=PER_PROMPT)
        for index, text in enumerate(texts)
    )
    return calibrate(requests, default_scorer())


def described(sample: SketchSample, calibration: Calibration, steps: int) -> str:
    """How well sketches of one kind foretell, and what they lead to, in a line."""
    correlation = sample.correlation(calibration.scores, calibration.prompts)
    line = f"sketches of {sample.steps} steps: rank correlation with their whole pictures {correlation:.2f}"
    if sample.finished:
        more = np.array(sample.finished) - np.array(calibration.scores)
        half = 1.96 * more.std(ddof=1) / math.sqrt(len(more))
        line += (
            f"; those take about {sample.finishing(steps)} more steps and score {more.mean():+.4f} ± {half:.4f}"
            f" against pictures drawn anew in {steps}"
        )
    return line


def outcome(request: ResolvedRequest, maker: Remembering, policy: Policy) -> Outcome:
    """Runs one policy on one request."""
    *_, end = best_of_n(request, maker, maker, policy)
    assert isinstance(end, Finished)
    assert end.best.judgement is not None
    judged = end.best.judgement
    return Outcome(judged.score, judged.accuracy, forwards=end.steps, attempts=end.attempts)


def report(name: str, outcomes: Sequence[Outcome], single: Sequence[Outcome]) -> str:
    """One line of the table; the gain over the single shot with its 95 % interval, paired by prompt."""
    found = np.array([(o.score, o.accuracy) for o in outcomes])
    gain = found - np.array([(o.score, o.accuracy) for o in single])
    half = 1.96 * np.nanstd(gain, axis=0, ddof=1) / math.sqrt(len(gain))
    mean, more = np.nanmean(found, axis=0), np.nanmean(gain, axis=0)
    return (
        f"{name:18} {mean[0]:8.4f} ({more[0]:+.4f} ± {half[0]:.4f})  {mean[1]:6.3f} ({more[1]:+.3f} ± {half[1]:.3f})"
        f"  {forwards(outcomes):8.1f}  {np.mean([o.attempts for o in outcomes]):8.2f}"
    )


def forwards(outcomes: Sequence[Outcome]) -> float:
    """UNet forwards per prompt, mean."""
    return float(np.mean([o.forwards for o in outcomes]))


def score(outcomes: Sequence[Outcome]) -> float:
    """Mean CLIP score."""
    return float(np.mean([o.score for o in outcomes]))


def compare(base: GenerationRequest, texts: Sequence[str], again: Policy, loop: Policy) -> bool:
    """Prints the table of re-generation and the loop, also with smaller budgets; whether the loop meets the bar."""
    judge = default_verifier()
    smaller = {f"loop, budget {n}": replace(loop, max_attempts=n) for n in range(2, loop.max_attempts + 1)}
    policies = {"single shot": Policy(max_attempts=1), "re-generation": again, **smaller}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in policies}
    for index, request in enumerate(_requests(base, texts)):
        maker = Remembering(load(ModelConfig.of(request)), judge)
        for name, policy in policies.items():
            outcomes[name].append(outcome(request, maker, policy))
        print(f"\r{index + 1}/{len(texts)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{'':18} {'CLIP score (gain)':>29}  {'attributes (gain)':>23}  {'forwards':>8}  {'attempts':>8}")
    for name, found in outcomes.items():
        print(report(name, found, outcomes["single shot"]))
    goal, spent = score(outcomes["re-generation"]), forwards(outcomes["re-generation"])
    reaching = (forwards(outcomes[name]) for name in smaller if score(outcomes[name]) >= goal)
    needed = min(reaching, default=math.inf)
    print(f"forwards to the mean score of re-generation ({goal:.4f}): {needed:.1f} against {spent:.1f},")
    print(f"{needed / spent:.2f}x; the bar is {BAR}x")
    return needed <= BAR * spent


def _requests(base: GenerationRequest, texts: Sequence[str]) -> Iterator[ResolvedRequest]:
    for index, text in enumerate(texts):
        yield generation.resolve(replace(base, prompt=text, seed=1000 * index))


def main() -> int:
    """0 if the bar is met (or only correlations were asked for), 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", choices=("kept", "fresh"), default="kept")
    parser.add_argument("--number", type=int, default=60, help="prompts")
    parser.add_argument("--seed", type=int, default=7, help="of fresh prompts")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--attempts", type=int, default=6, help="budget per prompt, in pictures")
    parser.add_argument("--calibration", type=int, default=60, help="pictures to calibrate with")
    parser.add_argument("--sketch-steps", type=int, help="instead of what the calibration chooses")
    parser.add_argument("--rank-correlation", action="store_true", help="measure sketches, and stop")
    arguments = parser.parse_args()
    base = GenerationRequest(prompt="calibration", model=arguments.model, steps=arguments.steps)
    calibration = calibration_of(base, arguments.calibration)
    print(
        f"threshold {calibration.threshold():.4f}: quantile {QUANTILE} of {len(calibration.scores)} pictures"
    )
    steps = generation.resolve(base).steps
    for sample in calibration.sketches:
        print(described(sample, calibration, steps))
    sketching = calibration.sketching(steps)
    print(f"sketching with {sketching.steps} steps" if sketching else "sketching is not justified")
    if arguments.sketch_steps is not None:
        chosen = next((s for s in calibration.sketches if s.steps == arguments.sketch_steps), None)
        if chosen is None:
            parser.error(
                f"measured are sketches of {', '.join(str(s.steps) for s in calibration.sketches)} steps"
            )
        sketching = calibration.sketching_with(chosen, steps)
        print(f"asked for: sketches of {sketching.steps} steps")
    if arguments.rank_correlation:
        return 0
    if arguments.prompts == "kept":
        texts = KEPT.read_text(encoding="utf-8").splitlines()[: arguments.number]
    else:
        texts = fresh_prompts(arguments.number, arguments.seed)
    again = Policy(threshold=calibration.threshold(), max_attempts=arguments.attempts, refine=False)
    return 0 if compare(base, texts, again, replace(again, refine=True, sketching=sketching)) else 1


if __name__ == "__main__":
    sys.exit(main())
