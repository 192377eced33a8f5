"""What does a level give for its work? `python -m benchmarks.levels [--number 60] [--model mini] [--sheet FILE]`

For every request the plain picture is drawn once, and then each level runs as the studio runs it: the same verifier,
thresholds, sketches and budget. Requests are taken from the shipped templates in turn, with colours, products and
settings drawn from `--seed`; their pictures' seeds are far from those that calibrations are made with. Printed per
level: how often what it delivers ranks below the plain picture by the level's own verifier (fewest failed checks,
then the score), the mean gain of the score with its 95 % interval, the share that was good enough, how many failed a
check, and the work in pictures: denoising steps over the steps of one, and wall time over that of one.

`--sheet` writes pairs (plain above, delivered below) of the level `--sheet-level` where they differ most in score.
"""

import argparse
import math
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from scipy import stats  # noqa: E402

from sdxl_lora import config, generation, prompts  # noqa: E402
from sdxl_lora.generation import PictureDone  # noqa: E402
from sdxl_lora.jobs.attempts import plan  # noqa: E402
from sdxl_lora.jobs.studio import Studio  # noqa: E402
from sdxl_lora.models.loading import ModelConfig, load  # noqa: E402
from sdxl_lora.request import GenerationRequest, ResolvedRequest  # noqa: E402
from sdxl_lora.scoring.card import ScoreCard, rank  # noqa: E402
from sdxl_lora.search import Finished, best_of_n  # noqa: E402
from sdxl_lora.search.calibrating import varied_requests  # noqa: E402
from sdxl_lora.search.levels import LEVELS  # noqa: E402

_FIRST_SEED = 2_000_000_000  # far from the seeds of calibrations, which count up from 0
PAIRS = 12
SIDE = 192  # px of a picture on the sheet


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one level made of one request, beside its plain picture."""

    plain: ScoreCard
    delivered: ScoreCard
    before: Image.Image
    after: Image.Image
    accepted: bool
    pictures: float  # denoising steps over those of one picture
    seconds: float  # wall time, judging included

    @property
    def worse(self) -> bool:
        """Whether the verifier itself ranks the plain picture higher."""
        return rank(self.delivered) < rank(self.plain)

    @property
    def gain(self) -> float:
        """Score more than the plain picture's."""
        return self.delivered.score - self.plain.score


def requests(model: str, number: int, seed: int) -> Iterator[ResolvedRequest]:
    """Resolved requests of one picture each, from the shipped templates in turn."""
    names, rng = list(prompts.templates()), random.Random(seed)
    for index in range(number):
        start = GenerationRequest(prompt="levels", model=model, seed=rng.randrange(_FIRST_SEED, 2**32 - 1))
        [request] = varied_requests(names[index % len(names)], start, 1)
        yield generation.resolve(request)


def one_shot(request: ResolvedRequest) -> tuple[Image.Image, float]:
    """The plain picture, and the seconds it took."""
    began = time.perf_counter()
    events = generation.generate(load(ModelConfig.of(request)), request)
    [done] = [event for event in events if isinstance(event, PictureDone)]
    return done.image, time.perf_counter() - began


def run_level(studio: Studio, level: str, request: ResolvedRequest, plain: Image.Image) -> Outcome:
    """Runs the level as the studio does, and judges the plain picture as the level judges."""
    how = plan(studio, request, level=LEVELS[level])
    [judged] = how.verifier.judge([plain], request)
    model, began = load(ModelConfig.of(request)), time.perf_counter()

    def generator(
        request: ResolvedRequest, *, cancel: threading.Event | None = None
    ) -> Iterator[generation.Event]:
        return generation.generate(model, request, cancel=cancel)

    *_, end = best_of_n(request, generator, how.verifier, how.policy)
    seconds = time.perf_counter() - began
    assert isinstance(end, Finished)
    assert end.best.judgement is not None
    assert end.best.image is not None
    return Outcome(
        plain=judged,
        delivered=end.best.judgement,
        before=plain,
        after=end.best.image,
        accepted=end.accepted,
        pictures=end.steps / request.steps,
        seconds=seconds,
    )


def report(level: str, outcomes: Sequence[Outcome], one: float) -> str:
    """One line of the table; `one`: mean seconds of one plain picture."""
    gains = np.array([outcome.gain for outcome in outcomes])
    half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / math.sqrt(len(gains))
    failed = sum(bool(outcome.delivered.failed) for outcome in outcomes)
    before = sum(bool(outcome.plain.failed) for outcome in outcomes)
    return (
        f"{level:10} {sum(o.worse for o in outcomes):6}  {gains.mean():+.4f} ± {half:.4f}  {gains.min():+.4f}"
        f"  {sum(o.accepted for o in outcomes):8}  {before:4} -> {failed:<4}"
        f"  {np.mean([o.pictures for o in outcomes]):8.2f}  {np.mean([o.seconds for o in outcomes]) / one:7.2f}"
    )


def sheet(outcomes: Sequence[Outcome], columns: int = 6) -> Image.Image:
    """Pairs whose scores differ most: plain above, delivered below, each with its score."""
    shown = sorted(outcomes, key=lambda outcome: -outcome.gain)[:PAIRS]
    rows = -(-len(shown) // columns)
    height = 2 * SIDE + 28
    page = Image.new("RGB", (columns * (SIDE + 8), rows * (height + 12)), "white")
    draw = ImageDraw.Draw(page)
    for index, outcome in enumerate(shown):
        left, top = index % columns * (SIDE + 8), index // columns * (height + 12)
        for place, (image, judged) in enumerate(
            ((outcome.before, outcome.plain), (outcome.after, outcome.delivered))
        ):
            y = top + place * (SIDE + 14)
            page.paste(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, y))
            checks = ", ".join(gate.name for gate in judged.failed)
            words = f"{'plain' if place == 0 else 'delivered'} {judged.score:.3f}"
            draw.text((left, y + SIDE), words + (f" ({checks})" if checks else ""), fill="black")
    return page


def main() -> int:
    """0 if no level ever delivered less than one shot gives by its own verifier, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=60, help="requests")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seed", type=int, default=11, help="of the requests")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write 12 pairs here")
    parser.add_argument("--sheet-level", choices=tuple(LEVELS), default="strict")
    arguments = parser.parse_args()
    if arguments.number < 2:
        parser.error("an interval needs at least 2 requests")
    studio = Studio(config.home())
    outcomes: dict[str, list[Outcome]] = {level: [] for level in LEVELS}
    seconds: list[float] = []
    for index, request in enumerate(requests(arguments.model, arguments.number, arguments.seed)):
        if index == 0:
            one_shot(replace(request, steps=2))  # loads the model
        plain, took = one_shot(request)
        seconds.append(took)
        for level, found in outcomes.items():
            found.append(run_level(studio, level, request, plain))
        print(f"\r{index + 1}/{arguments.number}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    one = float(np.mean(seconds))
    judge = outcomes["draft"][0].plain.scorer
    print(
        f"{arguments.number} requests of {arguments.model}, judged by {judge}; one picture takes {one:.2f} s"
    )
    print(f"{'':10}  worse  gain of the score    least  accepted  failed check  pictures     time")
    for level, found in outcomes.items():
        print(report(level, found, one))
    if arguments.sheet is not None:
        sheet(outcomes[arguments.sheet_level]).save(arguments.sheet, quality=88)
    return int(any(outcome.worse for found in outcomes.values() for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
