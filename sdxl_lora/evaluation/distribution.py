"""Distances between two sets of feature vectors: Frechet, KID, CMMD, precision, recall, density, coverage,
diversity.

Pure functions on float arrays [pictures, dimensions], computed in float64. What the features mean, they do
not know. Generated pictures come first, real ones second, everywhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]  # [pictures, dimensions]
Float64 = NDArray[np.float64]

CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0
NEIGHBOURS = 5


@dataclass(frozen=True)
class Estimate:
    """A statistic of two whole sets; `standard_error` by the jackknife, None where that would mislead."""

    value: float
    standard_error: float | None = None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Normal 95 % interval."""
        if self.standard_error is None:
            return None
        return self.value - 1.96 * self.standard_error, self.value + 1.96 * self.standard_error


@dataclass(frozen=True)
class Manifold:
    """Per-picture parts of precision, recall, density and coverage; each metric is the mean of its part."""

    precision: Float64  # [generated]: 1 if it lies in the real manifold
    recall: Float64  # [real]: 1 if it lies in the generated manifold
    density: Float64  # [generated]: real spheres it lies in, over k
    coverage: Float64  # [real]: 1 if a generated picture lies in its sphere


def frechet_distance(generated: Features, real: Features) -> float:
    """Squared Frechet (Wasserstein-2) distance of two Gaussians: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    Heusel et al. 2017, arXiv:1706.08500, eq. 6, with unbiased covariances. The last trace is the nuclear norm
    of X Y^T / sqrt((n - 1)(m - 1)) of the centred features, an [n, m] matrix when pictures are fewer than
    dimensions: exact where a matrix square root of a rank-deficient covariance is noise, and a thousand times
    faster. Needs two pictures or more on either side.
    """
    x, y = _float64(generated), _float64(real)
    if len(x) < 2 or len(y) < 2:
        raise ValueError(
            f"a covariance needs two pictures; there are {len(x)} generated and {len(y)} real ones"
        )
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = (x - mean_x) / np.sqrt(len(x) - 1), (y - mean_y) / np.sqrt(len(y) - 1)
    # |A B^T|_* depends on A only through A^T A: the triangular factor serves as well, and is smaller when n >
    # d
    x_thin, y_thin = _triangular(x), _triangular(y)
    cross = np.linalg.svd(x_thin @ y_thin.T, compute_uv=False).sum()
    return float(np.square(mean_x - mean_y).sum() + np.square(x).sum() + np.square(y).sum() - 2 * cross)


def kid(generated: Features, real: Features) -> Estimate:
    """Kernel Inception distance: unbiased MMD^2 with k(x, y) = (x.y / d + 1)^3, over the whole sets.

    Binkowski et al. 2018, arXiv:1801.01401, eq. 4. Unlike the common code no random subsets are drawn, so the
    value is the same each time; it may be slightly negative.
    """
    x, y = _float64(generated), _float64(real)
    d = x.shape[1]
    return _squared_mmd((x @ x.T / d + 1) ** 3, (y @ y.T / d + 1) ** 3, (x @ y.T / d + 1) ** 3)


def cmmd(generated: Features, real: Features) -> Estimate:
    """CLIP maximum mean discrepancy: 1000 MMD^2, Gaussian kernel of sigma 10 on unit-length embeddings,
    unbiased.

    Jayasumana et al. 2024, arXiv:2401.09603, section 4. Their code uses the biased estimator; the difference
    is below 1 % at 1,000 pictures and matters below.
    """
    x, y = normalised(generated), normalised(real)

    def kernel(a: Float64, b: Float64) -> Float64:
        return np.exp(-(2 - 2 * np.clip(a @ b.T, -1, 1)) / (2 * CMMD_SIGMA**2))

    estimate = _squared_mmd(kernel(x, x), kernel(y, y), kernel(x, y))
    error = estimate.standard_error
    return Estimate(estimate.value * CMMD_SCALE, None if error is None else error * CMMD_SCALE)


def manifold(generated: Features, real: Features, k: int = NEIGHBOURS) -> Manifold:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1-3), density and coverage
    (Naeem et al. 2020, arXiv:2002.09797, eq. 3-4), Euclidean, k nearest neighbours.

    Raises `ValueError` unless both sets hold more than `k` pictures: the k-th neighbour must exist.
    """
    x, y = _float64(generated), _float64(real)
    if min(len(x), len(y)) <= k:
        raise ValueError(
            f"{k} nearest neighbours need more than {k} pictures; there are {len(x)} and {len(y)}"
        )
    cross = _distances(y, x)  # [real, generated]
    real_radius, generated_radius = _kth_radius(y, k), _kth_radius(x, k)
    inside = cross <= real_radius[:, None]
    return Manifold(
        precision=np.asarray(inside.any(axis=0), np.float64),
        recall=np.asarray((cross <= generated_radius[None, :]).any(axis=1), np.float64),
        density=inside.sum(axis=0) / k,
        coverage=(cross.min(axis=1) <= real_radius).astype(np.float64),
    )


def diversity(generated: Features) -> Float64:
    """Per picture, the mean cosine distance (0..2) to all the others; its mean over a set is the set's
    diversity.
    """
    x = normalised(generated)
    if len(x) < 2:
        raise ValueError("diversity needs two pictures")
    return 1 - ((x @ x.T).sum(axis=1) - 1) / (len(x) - 1)


def vendi_score(generated: Features) -> float:
    """Effective number of different pictures, exp of the entropy of the eigenvalues of the cosine kernel over
    n, 1..n.

    Friedman & Dieng 2023, arXiv:2210.02410, definition 3.1.
    """
    x = normalised(generated)
    # the eigenvalues of X X^T / n are the squared singular values of X / sqrt(n)
    p = np.square(np.linalg.svd(x / np.sqrt(len(x)), compute_uv=False))
    p = p[p > 1e-12]
    return float(np.exp(-(p * np.log(p)).sum()))


def normalised(features: Features) -> Float64:
    """Rows at unit length, float64."""
    x = _float64(features)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _float64(features: Features) -> Float64:
    return np.asarray(features, dtype=np.float64)


def _triangular(x: Float64) -> Float64:
    return np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x


def _squared_mmd(xx: Float64, yy: Float64, xy: Float64) -> Estimate:
    """Unbiased MMD^2 (Gretton et al. 2012, eq. 3) from kernel matrices [n, n], [m, m], [n, m], with jackknife
    error.
    """
    n, m = xy.shape
    if n < 2 or m < 2:
        raise ValueError(
            f"an unbiased distance needs two pictures; there are {n} generated and {m} real ones"
        )
    rows_x = xx.sum(axis=1) - np.diagonal(xx)
    rows_y = yy.sum(axis=1) - np.diagonal(yy)
    sum_x, sum_y, sum_xy = rows_x.sum(), rows_y.sum(), xy.sum()
    value = sum_x / (n * (n - 1)) + sum_y / (m * (m - 1)) - 2 * sum_xy / (n * m)
    if n < 4 or m < 4:
        return Estimate(float(value))
    # leaving picture i out takes its row and column from the sums
    without_x = (
        (sum_x - 2 * rows_x) / ((n - 1) * (n - 2))
        + sum_y / (m * (m - 1))
        - 2 * (sum_xy - xy.sum(axis=1)) / ((n - 1) * m)
    )
    without_y = (
        sum_x / (n * (n - 1))
        + (sum_y - 2 * rows_y) / ((m - 1) * (m - 2))
        - 2 * (sum_xy - xy.sum(axis=0)) / (n * (m - 1))
    )
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    return Estimate(float(value), float(np.sqrt(variance)))


def _distances(a: Float64, b: Float64) -> Float64:
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None, :] - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0))


def _kth_radius(x: Float64, k: int) -> Float64:
    distances = _distances(x, x)
    np.fill_diagonal(distances, np.inf)  # a picture is not its own neighbour
    return np.partition(distances, k - 1, axis=1)[:, k - 1]
