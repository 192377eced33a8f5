"""Does the loop pay? `python benchmarks/feedback.py [--prompts kept|fresh] [--number 60] [--model mini]`

For every prompt the same first seed is drawn once (single shot), again with other seeds until the threshold is
reached (re-generation), and by the whole loop (other words, giving up early where a calibration allows it). Printed are
mean CLIP score, mean attribute accuracy, and UNet forwards per prompt (one per denoising step, both sides of the
guidance counting as one), then how many forwards the loop needs for the mean score that re-generation ends with.

The threshold is a quantile of pictures of other prompts and seeds, made first. `--rank-correlation` only measures how
well previews at part of the steps foretell the final score among seeds of one prompt, which decides about giving up
early. Prompts: `benchmarks/feedback_prompts.txt` (kept), or drawn anew from `--seed` (fresh).

Scores are those of the CLIP that the loop optimises; they say nothing about a judge it has not seen.
"""

import argparse
import functools
import itertools
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from sdxl_lora import generation  # noqa: E402
from sdxl_lora.config import GenerationRequest  # noqa: E402
from sdxl_lora.feedback import Attempt, Judge, Policy, improve  # noqa: E402
from sdxl_lora.feedback.calibration import QUANTILE, Calibration  # noqa: E402
from sdxl_lora.mini.captions import caption  # noqa: E402
from sdxl_lora.mini.scene import sample_scene  # noqa: E402
from sdxl_lora.models.loading import ModelConfig, load  # noqa: E402
from sdxl_lora.scoring.base import default_scorer  # noqa: E402
from sdxl_lora.scoring.panel import default_panel  # noqa: E402
from sdxl_lora.serving.calibrating import PER_PROMPT, calibrate  # noqa: E402

KEPT = Path(__file__).with_name("feedback_prompts.txt")
BAR = 0.6  # of the forwards that re-generation needs
_CALIBRATION_SEED = 1_000_000  # far from the seeds that are measured


@dataclass(frozen=True)
class Outcome:
    """What one way of making one picture came to."""

    attempts: tuple[Attempt, ...]

    def after(self, forwards: float) -> tuple[float, float]:
        """(score, attribute accuracy) of the best picture within that many UNet forwards."""
        spent, best = 0, (math.nan, math.nan)
        for attempt in self.attempts:
            spent += attempt.steps
            if spent > forwards and not math.isnan(best[0]):
                break
            if attempt.best and attempt.judgement is not None:
                best = attempt.judgement.score, attempt.judgement.accuracy
        return best

    @property
    def forwards(self) -> int:
        return sum(attempt.steps for attempt in self.attempts)


def fresh_prompts(number: int, seed: int) -> list[str]:
    """Captions of scenes drawn from `seed`; not the kept ones."""
    rng, kept = random.Random(seed), set(KEPT.read_text(encoding="utf-8").splitlines())
    drawn = (caption(sample_scene(rng), rng, full=True) for _ in itertools.count())
    return list(itertools.islice((text for text in drawn if text not in kept), number))


def calibration_of(base: GenerationRequest, number: int) -> Calibration:
    """Scores of `number` pictures, a few of each prompt, none of which is measured."""
    texts = fresh_prompts(-(-number // PER_PROMPT), seed=_CALIBRATION_SEED)
    requests = (
        replace(base, prompt=texts[i // PER_PROMPT], seed=_CALIBRATION_SEED + i) for i in range(number)
    )
    return calibrate(requests, default_scorer())


def outcome(request: GenerationRequest, judge: Judge, policy: Policy) -> Outcome:
    """Runs one policy on one request."""
    generator = functools.partial(generation.generate, load(ModelConfig.of(request)))
    events = improve(request, generator, judge, policy)
    return Outcome(tuple(event for event in events if isinstance(event, Attempt)))


def forwards_to_reach(outcomes: Sequence[Outcome], wanted: float) -> float:
    """Least mean UNet forwards per prompt at which the mean score is `wanted`; infinite if it never is."""
    budgets = sorted(
        {sum(a.steps for a in o.attempts[: n + 1]) for o in outcomes for n in range(len(o.attempts))}
    )
    for budget in budgets:
        if np.mean([o.after(budget)[0] for o in outcomes]) >= wanted:
            return float(np.mean([min(budget, o.forwards) for o in outcomes]))
    return math.inf


def report(name: str, outcomes: Sequence[Outcome], single: Sequence[Outcome]) -> str:
    """One line of the table; the gain over the single shot with its 95 % interval, paired by prompt."""
    found = np.array([o.after(math.inf) for o in outcomes])
    gain = found - np.array([o.after(math.inf) for o in single])
    half = 1.96 * np.nanstd(gain, axis=0, ddof=1) / math.sqrt(len(gain))
    mean, more = np.nanmean(found, axis=0), np.nanmean(gain, axis=0)
    return (
        f"{name:16} {mean[0]:8.4f} ({more[0]:+.4f} ± {half[0]:.4f})  {mean[1]:6.3f} ({more[1]:+.3f} ± {half[1]:.3f})"
        f"  {np.mean([o.forwards for o in outcomes]):8.1f}  {np.mean([len(o.attempts) for o in outcomes]):8.2f}"
    )


def compare(base: GenerationRequest, texts: Sequence[str], calibration: Calibration, attempts: int) -> bool:
    """Prints the table; whether the loop meets the bar."""
    judge = default_panel()
    again = Policy(threshold=calibration.threshold(), max_attempts=attempts, refine=False)
    loop = replace(again, refine=True, pruning=calibration.pruning)
    policies = {"single shot": Policy(max_attempts=1), "re-generation": again, "loop": loop}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in policies}
    for index, request in enumerate(_requests(base, texts)):
        for name, policy in policies.items():
            outcomes[name].append(outcome(request, judge, policy))
        print(f"\r{index + 1}/{len(texts)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{'':16} {'CLIP score (gain)':>29}  {'attributes (gain)':>23}  {'forwards':>8}  {'attempts':>8}")
    for name, found in outcomes.items():
        print(report(name, found, outcomes["single shot"]))
    goal = float(np.mean([o.after(math.inf)[0] for o in outcomes["re-generation"]]))
    spent = float(np.mean([o.forwards for o in outcomes["re-generation"]]))
    needed = forwards_to_reach(outcomes["loop"], goal)
    print(f"forwards to the mean score of re-generation ({goal:.4f}): {needed:.1f} against {spent:.1f},")
    print(f"{needed / spent:.2f}x; the bar is {BAR}x")
    return needed <= BAR * spent


def _requests(base: GenerationRequest, texts: Sequence[str]) -> Iterator[GenerationRequest]:
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
    parser.add_argument("--rank-correlation", action="store_true", help="measure previews, and stop")
    arguments = parser.parse_args()
    base = GenerationRequest(prompt="calibration", model=arguments.model, steps=arguments.steps)
    calibration = calibration_of(base, arguments.calibration)
    print(
        f"threshold {calibration.threshold():.4f}: quantile {QUANTILE} of {len(calibration.scores)} pictures"
    )
    for sample in calibration.previews:
        value = sample.correlation(calibration.scores, calibration.prompts)
        print(f"rank correlation of previews at {sample.fraction:.0%} of the steps: {value:.2f}")
    pruning = calibration.pruning
    print(f"giving up at {pruning.fraction:.0%}" if pruning else "giving up early is not justified")
    if arguments.rank_correlation:
        return 0
    if arguments.prompts == "kept":
        texts = KEPT.read_text(encoding="utf-8").splitlines()[: arguments.number]
    else:
        texts = fresh_prompts(arguments.number, arguments.seed)
    return 0 if compare(base, texts, calibration, arguments.attempts) else 1


if __name__ == "__main__":
    sys.exit(main())
