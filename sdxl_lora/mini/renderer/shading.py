"""Light and shade of pieces of cloth, at a third of the drawing's resolution because shade is smooth.

Every piece curves away at its own edge (a blurred mask), is lit from the upper left or right (the gradient of
that mask), and carries folds; where it lies on others it casts a soft shadow. Knows nothing of colours.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from sdxl_lora.mini.renderer.parts import Fold

Floats = NDArray[np.float32]
REDUCTION = 3  # shade is computed at 1/3 of the drawing's size


def blurred(field: Floats, sigma: float) -> Floats:
    return cv2.GaussianBlur(field, (0, 0), max(sigma, 0.3)).astype(np.float32, copy=False)


def moved(field: Floats, dx: float, dy: float) -> Floats:
    """The field moved by (dx, dy) pixels; zeros come in at the borders."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(field, matrix, field.shape[::-1]).astype(np.float32, copy=False)


def raster(path: skia.Path, side: int, matrix: skia.Matrix) -> Floats:
    """Coverage 0..1 of a path, (side, side); `matrix` maps the unit square to pixels of the full drawing."""
    pixels = np.zeros((side, side), np.uint8)
    surface = skia.Surface(pixels, colorType=skia.kAlpha_8_ColorType)
    canvas = surface.getCanvas()
    canvas.concat(matrix)
    canvas.drawPath(path, skia.Paint(AntiAlias=True, Color=skia.ColorBLACK))
    return pixels.astype(np.float32) / np.float32(255)


def fold_field(folds: Sequence[Fold], side: int, matrix: skia.Matrix, softness: float) -> Floats:
    """Sum of the folds, about -1..1, (side, side)."""
    pixels = np.full((side, side, 4), 128, np.uint8)
    pixels[..., 3] = 255
    surface = skia.Surface(pixels, colorType=skia.kRGBA_8888_ColorType)
    canvas = surface.getCanvas()
    canvas.concat(matrix)
    for fold in folds:
        value = 255 if fold.strength > 0 else 0
        alpha = int(min(1.0, abs(fold.strength)) * 255)
        canvas.drawPath(fold.path, skia.Paint(AntiAlias=True, Color=skia.Color(value, value, value, alpha)))
    field = pixels[..., 0].astype(np.float32) / 127.5 - 1
    return blurred(field, softness * side)


def piece_shade(
    mask: Floats,
    folds: Floats | None,
    waves: Floats,
    *,
    roundness: float,
    depth: float,
    light: tuple[float, float],
) -> Floats:
    """Brightness of one piece about 1, (side, side), from its coverage at the same size."""
    side = mask.shape[0]
    soft = blurred(mask, roundness * side)
    soft /= max(float(soft.max()), 1e-3)
    volume = np.clip((soft - 0.30) / 0.62, 0, 1)
    shade = (1.045 - depth) + depth * volume * (2 - volume)
    gradient_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)
    gradient_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)
    # 3x3 Sobel returns 8 times the slope, and the slope is about 1 / (roundness * side).
    scale = roundness * side / 8 * depth * 1.4
    shade += scale * (light[0] * gradient_x + light[1] * gradient_y)
    shade += waves
    if folds is not None:
        shade += 0.52 * folds
    return np.clip(shade, 0.35, 1.6).astype(np.float32, copy=False)


def waves(rng: np.random.Generator, side: int, amplitude: float) -> Floats:
    """Gentle unevenness of cloth: low frequencies only, so that an autoencoder can keep them."""
    coarse = rng.standard_normal((5, 7)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return (np.tanh(field) * amplitude).astype(np.float32, copy=False)


def lit(colour: Floats, shade: Floats) -> Floats:
    """Colour (H, W, 3) 0..255 under shade (H, W): darker below 1, towards white above 1."""
    factor = shade[..., None]
    below = np.minimum(factor, 1)
    above = np.maximum(factor - 1, 0)
    # Nearly black cloth shows its form by sheen, not by getting blacker.
    sheen = np.maximum(factor - 0.8, 0) * 34 * np.clip(1 - colour.mean(axis=2, keepdims=True) / 110, 0, 1)
    return colour * below + (255 - colour) * above * 0.62 + sheen
