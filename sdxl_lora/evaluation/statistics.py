"""Means with honest error bars, and the tests that say whether two runs differ.

Deterministic: every resampling starts from the same seed, so the same values give the same digits. Knows
nothing of pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Float64 = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 20_221_122
EXACT_LIMIT = 20  # pairs; 2^20 sign patterns are enumerated, beyond that 100,000 are drawn
MONTE_CARLO_DRAWS = 100_000
TOP = 5
FEWEST = 10  # pictures from which an interval of their mean holds what it promises
_MOST_EQUAL = 0.01  # share of resamples without any spread up to which the bootstrap-t interval is given
_CHUNK = 2_000_000  # resampled values held at once


@dataclass(frozen=True)
class Interval:
    """95 % of such intervals hold the true mean; `how` it was found, or why there is none."""

    ci95: tuple[float, float] | None
    how: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is said of a list of per-picture values."""

    mean: float
    std: float | None  # sample standard deviation (n - 1); None for one picture
    n: int
    ci95: tuple[float, float] | None  # of the mean; None: see `interval`
    interval: str  # how it was found, or why there is none
    top_mean: float  # mean over the TOP pictures a rule chose, never alone without `mean`


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Run A minus run B on the same prompts."""

    mean: float
    ci95: tuple[float, float] | None
    interval: str  # how it was found, or why there is none
    p_value: float  # two-sided sign-flip test of mean difference 0
    smallest_p: float  # what this many pairs can reach at best
    method: Literal["exact", "monte carlo"]
    n: int


def summarise(
    values: Sequence[float] | Float64, chosen: Sequence[int] | None = None, *, share: bool = False
) -> Summary:
    """Mean, sample deviation, interval; `chosen` are the places of the top pictures, `share`: each is 0 or 1."""
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        raise ValueError("there are no values to summarise")
    top = data[list(chosen)] if chosen else data
    with np.errstate(invalid="ignore"):  # infinite PSNR of equal pictures has no deviation
        std = float(data.std(ddof=1)) if data.size > 1 else None
    interval = mean_ci95(data, share=share)
    return Summary(
        mean=float(data.mean()),
        std=std,
        n=data.size,
        ci95=interval.ci95,
        interval=interval.how,
        top_mean=float(top.mean()),
    )


def mean_ci95(values: Sequence[float] | Float64, *, share: bool = False) -> Interval:
    """95 % interval of the mean, or the reason why there is none.

    Yes-or-no values (`share`, each 0 or 1) get Wilson's interval. Others get the bootstrap-t interval (Efron &
    Tibshirani 1993, section 12.5) of 10,000 resamples: the percentile and BCa intervals of scipy promise 95 % and hold
    83 to 92 % at 10 pictures, this one 92 to 97 % (`python -m benchmarks.intervals`). Below `FEWEST` none does.
    """
    data = np.asarray(values, dtype=np.float64)
    if not np.isfinite(data).all():
        return Interval(None, "a value is infinite")
    if share:
        return Interval(wilson_ci95(int(data.sum()), data.size), "Wilson, of a share")
    if data.size < FEWEST:
        return Interval(
            None, f"no interval of {_counted(data.size)} holds what it promises; it takes {FEWEST}"
        )
    interval = _bootstrap_t(data)
    if interval is None:
        return Interval(None, "too many values are equal")
    return Interval(interval, f"bootstrap-t, {RESAMPLES:,} resamples")


def _bootstrap_t(data: Float64) -> tuple[float, float] | None:
    """None where so many resamples are of equal values that their t could decide the interval."""
    n, mean = data.size, data.mean()
    centres, deviations = [], []
    for places in _resamples(n):
        drawn = data[places]
        centres.append(drawn.mean(axis=1))
        deviations.append(drawn.std(axis=1, ddof=1))
    centre, deviation = np.concatenate(centres), np.concatenate(deviations)
    moves = deviation > 1e-12 * np.abs(data).max()
    if np.mean(~moves) > _MOST_EQUAL:
        return None
    t = (centre[moves] - mean) / deviation[moves]
    low, high = np.percentile(t, [2.5, 97.5])
    spread = data.std(ddof=1)
    return float(mean - high * spread), float(mean - low * spread)


def _counted(number: int) -> str:
    return "1 picture" if number == 1 else f"{number} pictures"


def _resamples(size: int) -> Iterable[NDArray[np.int64]]:
    """Places of all resamples, [some resamples, size] at a time; the same ones for all metrics of `size` values."""
    return (_few_resamples(size),) if size * RESAMPLES <= _CHUNK else _drawn_resamples(size)


@lru_cache(maxsize=1)
def _few_resamples(size: int) -> NDArray[np.int64]:  # at most 16 MB
    return next(_drawn_resamples(size))


def _drawn_resamples(size: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.Generator(np.random.PCG64(SEED))
    step = max(1, _CHUNK // size)
    for start in range(0, RESAMPLES, step):
        yield generator.integers(0, size, size=(min(step, RESAMPLES - start), size))


def wilson_ci95(successes: int, n: int) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22): sensible at 0 and 1 and for small n."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is no share")
    found = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def best_places(values: Sequence[float | None], higher_is_better: bool, count: int = TOP) -> list[int]:
    """Places of the `count` best values, best first, ties by place; pictures without a value come last."""
    sign = -1.0 if higher_is_better else 1.0
    ranks = sorted(range(len(values)), key=lambda i: (values[i] is None, sign * (values[i] or 0.0), i))
    return ranks[:count]


def paired_difference(a: Sequence[float] | Float64, b: Sequence[float] | Float64) -> PairedDifference:
    """Compares two runs value by value: interval of the mean difference, and sign-flip test (Fisher 1935,
    chapter 21).

    Up to 20 pairs every one of the 2^n sign patterns is tried, so the p-value is exact; beyond, 100,000
    random ones. Written here because `scipy.stats.permutation_test` lists the patterns one by one: the same p-value
    took it 200 times as long for 20 pairs, and a report has thirty metrics.
    """
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    n = difference.size
    if n == 0 or not np.isfinite(difference).all():
        raise ValueError("paired differences need finite values in both runs")
    exact = n <= EXACT_LIMIT
    p_value = _exact_sign_flip(difference) if exact else _drawn_sign_flip(difference)
    interval = mean_ci95(difference)
    return PairedDifference(
        mean=float(difference.mean()),
        ci95=interval.ci95,
        interval=interval.how,
        p_value=p_value,
        smallest_p=2.0 ** (1 - n) if exact else 1 / (MONTE_CARLO_DRAWS + 1),
        method="exact" if exact else "monte carlo",
        n=n,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for testing several metrics at once (Holm 1979), in the order given; scipy has only the
    false discovery rate's."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _exact_sign_flip(difference: Float64) -> float:
    sums = np.zeros(1)
    for value in np.abs(difference):  # doubling: all sums with this value added, then subtracted
        sums = np.concatenate([sums + value, sums - value])
    return _share_as_extreme(sums, difference)


def _drawn_sign_flip(difference: Float64) -> float:
    generator = np.random.Generator(np.random.PCG64(SEED))
    sums = np.empty(MONTE_CARLO_DRAWS)
    step = max(1, _CHUNK // difference.size)
    for start in range(0, MONTE_CARLO_DRAWS, step):
        stop = min(start + step, MONTE_CARLO_DRAWS)
        signs = generator.integers(0, 2, size=(stop - start, difference.size), dtype=np.int8) * 2 - 1
        sums[start:stop] = signs @ difference
    # the observed pattern is one of the possible ones, so p is never 0 (Phipson & Smyth 2010)
    return (_share_as_extreme(sums, difference) * MONTE_CARLO_DRAWS + 1) / (MONTE_CARLO_DRAWS + 1)


def _share_as_extreme(sums: Float64, difference: Float64) -> float:
    # equal sums in another order of addition differ by rounding
    observed = abs(difference.sum()) - 1e-12 * np.abs(difference).sum()
    return float(np.mean(np.abs(sums) >= observed))
