"""Edges of a cut-out: where exactly the product ends, and what colour its edge has without the background in it.

A matte of a small network is soft over several pixels. Between what is product and what is background for certain it
is fitted to the picture's own edges by a guided filter (He, Sun, Tang: "Guided Image Filtering", TPAMI 2013, section
3.5 for colours; coefficients at a smaller size, as in He, Sun: "Fast Guided Filter", 2015). Pixels of an edge are a
mixture, I = aF + (1-a)B; the product's own colour F is found by blurred fusion (Forte: "Approximate Fast Foreground
Colour Estimation", ICIP 2021), so that no halo of the old background is left.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.floating]  # 32 bits; what NumPy says of quotients is wider
Pixels = NDArray[np.uint8]

_EPSILON = 1e-4  # of the guided filter: how much contrast counts as an edge, on 0..1
_RADIUS = 8  # px of the guided filter, at the size at which its coefficients are found
_FUSION_SIDE = 768  # px: colours around an edge are found at this size
_WIDE, _NARROW = 1 / 12, 1 / 160  # radii of the blurred fusion, of the longer side


def fit(pixels: Pixels, matte: Floats, radius: int) -> Floats:
    """The matte [height, width] with the edges of the RGB picture [height, width, 3], within `radius` px of its own."""
    height, width = matte.shape
    step = max(1.0, radius / _RADIUS)
    size = (max(1, round(width / step)), max(1, round(height / step)))
    small, small_matte = pixels, matte
    if step > 1:
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        small_matte = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    slope, offset = _coefficients(small.astype(np.float32) / 255, small_matte, round(radius / step))
    if step > 1:
        slope = cv2.resize(slope, (width, height), interpolation=cv2.INTER_LINEAR)
        offset = cv2.resize(offset, (width, height), interpolation=cv2.INTER_LINEAR)
    return (np.einsum("hwc,hwc->hw", slope, pixels.astype(np.float32) / 255) + offset).clip(0, 1)


def foreground(pixels: Pixels, alpha: Floats, where: NDArray[np.bool_]) -> Pixels:
    """The product's own colours [n, 3] at the places `where` [height, width] of a picture with this alpha."""
    height, width = alpha.shape
    scale = min(1.0, _FUSION_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    share = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    radii = [max(1, round(part * max(size))) for part in (_WIDE, _NARROW)]
    inner, outer = _around(small, small, share, radii[0])
    inner, outer = _around(small, _mixed(small, inner, outer, share[..., None]), share, radii[1])
    steps = np.array([[size[1] / height], [size[0] / width]], np.float32)
    places = (np.stack(np.nonzero(where)).astype(np.float32) + 0.5) * steps - 0.5
    of_inner, of_outer = (
        np.stack([ndimage.map_coordinates(of[..., c], places, order=1, mode="nearest") for c in range(3)], -1)
        for of in (inner, outer)
    )
    fitted = _mixed(pixels[where].astype(np.float32), of_inner, of_outer, alpha[where][:, None])
    return fitted.round().astype(np.uint8)


def _coefficients(picture: Floats, matte: Floats, radius: int) -> tuple[Floats, Floats]:
    """Slope [height, width, 3] and offset [height, width] of the matte as a linear function of the colours around."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Floats) -> Floats:
        return cv2.blur(values, size, borderType=cv2.BORDER_REFLECT)

    about, of_matte = mean(picture), mean(matte)
    with_matte = mean(picture * matte[..., None]) - about * of_matte[..., None]
    channels = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    rr, rg, rb, gg, gb, bb = (
        mean(picture[..., i] * picture[..., j]) - about[..., i] * about[..., j] + (_EPSILON if i == j else 0)
        for i, j in channels
    )
    # the inverse of the symmetric 3 x 3 covariance, written out
    i_rr, i_rg, i_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    i_gg, i_gb, i_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * i_rr + rg * i_rg + rb * i_rb
    r, g, b = with_matte[..., 0], with_matte[..., 1], with_matte[..., 2]
    slope = np.stack(
        [i_rr * r + i_rg * g + i_rb * b, i_rg * r + i_gg * g + i_gb * b, i_rb * r + i_gb * g + i_bb * b],
        axis=-1,
    )
    slope /= np.maximum(determinant, 1e-12)[..., None]
    return mean(slope), mean(of_matte - (slope * about).sum(axis=-1))


def _around(picture: Floats, inner: Floats, alpha: Floats, radius: int) -> tuple[Floats, Floats]:
    """Mean foreground and background [height, width, 3] within the radius, weighted by how much of each is there."""
    size = (2 * radius + 1, 2 * radius + 1)
    share = alpha[..., None]
    of_inner = cv2.blur(inner * share, size) / (cv2.blur(alpha, size)[..., None] + 1e-5)
    of_outer = cv2.blur(picture * (1 - share), size) / (cv2.blur(1 - alpha, size)[..., None] + 1e-5)
    return of_inner, of_outer


def _mixed(picture: Floats, inner: Floats, outer: Floats, share: Floats) -> Floats:
    """The foreground that, mixed with the background around, comes nearest to the picture; one step of descent."""
    return (inner + share * (picture - share * inner - (1 - share) * outer)).clip(0, 255)
