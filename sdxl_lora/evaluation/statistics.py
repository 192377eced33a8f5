"""Means with honest error bars, and the tests that say whether two runs differ.

Deterministic: every resampling starts from the same seed, so the same values give the same digits. Knows
nothing of pictures.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 20_221_122
EXACT_LIMIT = 20  # pairs; 2^20 sign patterns are enumerated, beyond that 100,000 are drawn
MONTE_CARLO_DRAWS = 100_000
TOP = 5
_NORMAL_975 = 1.959963984540054  # quantile of the normal distribution
_CHUNK = 2_000_000  # resampled values held at once


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is said of a list of per-picture values."""

    mean: float
    std: float | None  # sample standard deviation (n - 1); None for one picture
    n: int
    ci95: tuple[float, float] | None  # percentile bootstrap of the mean; None for one picture
    top_mean: float  # mean over the TOP pictures a rule chose, never alone without `mean`


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Run A minus run B on the same prompts."""

    mean: float
    ci95: tuple[float, float] | None
    p_value: float  # two-sided sign-flip test of mean difference 0
    smallest_p: float  # what this many pairs can reach at best
    method: Literal["exact", "monte carlo"]
    n: int


def summarise(values: Sequence[float] | Float64, chosen: Sequence[int] | None = None) -> Summary:
    """Mean, sample deviation, percentile bootstrap interval; `chosen` are the places of the top pictures."""
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        raise ValueError("there are no values to summarise")
    top = data[list(chosen)] if chosen else data
    with np.errstate(invalid="ignore"):  # infinite PSNR of equal pictures has no deviation
        std = float(data.std(ddof=1)) if data.size > 1 else None
    return Summary(
        mean=float(data.mean()), std=std, n=data.size, ci95=bootstrap_ci95(data), top_mean=float(top.mean())
    )


def bootstrap_ci95(values: Sequence[float] | Float64) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean (Efron & Tibshirani 1993, section 13.3), 10,000 resamples."""
    data = np.asarray(values, dtype=np.float64)
    if data.size < 2 or not np.isfinite(data).all():
        return None
    means = np.concatenate([data[places].mean(axis=1) for places in _resamples(data.size)])
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


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
    share, z2 = successes / n, _NORMAL_975**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _NORMAL_975 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def best_places(values: Sequence[float | None], higher_is_better: bool, count: int = TOP) -> list[int]:
    """Places of the `count` best values, best first, ties by place; pictures without a value come last."""
    sign = -1.0 if higher_is_better else 1.0
    ranks = sorted(range(len(values)), key=lambda i: (values[i] is None, sign * (values[i] or 0.0), i))
    return ranks[:count]


def paired_difference(a: Sequence[float] | Float64, b: Sequence[float] | Float64) -> PairedDifference:
    """Compares two runs value by value: paired bootstrap interval and sign-flip test (Fisher 1935, chapter
    21).

    Up to 20 pairs every one of the 2^n sign patterns is tried, so the p-value is exact; beyond, 100,000
    random ones.
    """
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    n = difference.size
    if n == 0 or not np.isfinite(difference).all():
        raise ValueError("paired differences need finite values in both runs")
    exact = n <= EXACT_LIMIT
    p_value = _exact_sign_flip(difference) if exact else _drawn_sign_flip(difference)
    return PairedDifference(
        mean=float(difference.mean()),
        ci95=bootstrap_ci95(difference),
        p_value=p_value,
        smallest_p=2.0 ** (1 - n) if exact else 1 / (MONTE_CARLO_DRAWS + 1),
        method="exact" if exact else "monte carlo",
        n=n,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for testing several metrics at once (Holm 1979), in the order given."""
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
