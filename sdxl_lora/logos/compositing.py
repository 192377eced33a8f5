"""A logo on cloth, in pixel space, after everything else: exact in shape and colour, lit by the cloth under it.

All blending is of linear light with premultiplied alpha. With Y the cloth's luminance under the logo:

    shading       S = low(Y) / mean of low(Y) over the logo, so that the mean colour of the print is the brand's own
    displacement  the print is pushed along the gradient of S, by at most `_PUSH` of its width: it follows folds
    grain         G = (Y / low(Y)) ** `_GRAIN`, within a few hundredths: the weave shows through the ink
    picture       cloth * (1 - alpha) + ink * S * G * alpha

(displacement maps as in Photoshop's filter, multiply as in every compositor; no network has a say.) Pixels that the
logo does not touch stay as they are, bit for bit.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sdxl_lora.logos import geometry, stitching
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Logo

Pixels = NDArray[np.uint8]  # [height, width, 3], sRGB
_Linear = NDArray[np.float32]

_LUMINANCE: Final = np.array((0.2126, 0.7152, 0.0722), np.float32)  # of linear sRGB, ITU-R BT.709
_AROUND: Final = 0.5  # of the logo's longer side
_OVER: Final = 2  # samples per pixel and direction, averaged
_LARGE: Final = 1_500  # px; a logo that is longer is drawn with one sample per pixel
_LOW: Final = (
    0.12  # of the logo's shorter side: sigma of the low-pass that is taken for light, not for weave or print
)
_LEAST_LOW: Final = 2.0  # px
_LEAST_SIGMA: Final = 4.0  # px of the smaller picture that a wide low-pass works on
_DARK: Final = 0.01  # linear light added before ratios: noise of black cloth is no shading
_CONTRAST: Final = (
    0.15  # standard deviation of log shading from which it is held back: that is a pattern, not light
)
_RANGE: Final = (0.5, 1.5)  # of the shading
_PUSH: Final = 0.006  # of the logo's width, at most
_SEWN: Final = 0.06  # of the logo's longer side, that embroidery and its shadow reach beyond the print
_LIT: Final = 0.995  # of the light: less is shadow
_GRAIN: Final = 0.35
_GRAIN_RANGE: Final = (0.95, 1.05)


def _table() -> _Linear:
    """sRGB byte -> linear light 0..1 (IEC 61966-2-1)."""
    value = np.arange(256, dtype=np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


_TO_LINEAR: Final = _table()


def to_linear(pixels: NDArray[np.uint8]) -> _Linear:
    """sRGB bytes -> linear light 0..1, of any shape."""
    return _TO_LINEAR[pixels]


def to_srgb(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Inverse of `to_linear`; what is out of range is clipped."""
    value = np.clip(linear, 0, 1)
    encoded = np.where(value <= 0.0031308, value * 12.92, 1.055 * np.power(value, 1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Light:
    """What the cloth does to the print; each [height, width] of the part that is worked on."""

    shading: _Linear  # S
    grain: _Linear  # G
    push: _Linear  # [height, width, 2], px: where the print is moved to, x and y


def light_of(cloth: _Linear, inside: NDArray[np.bool_], corners: Corners) -> Light:
    """Shading, grain and displacement of a linear picture [height, width, 3] under the pixels `inside`."""
    width = float(geometry.lengths(corners)[[0, 2]].mean())
    sigma = max(_LEAST_LOW, _LOW * float(geometry.lengths(corners).min()))
    luminance = cloth @ _LUMINANCE + _DARK
    low = _blurred(luminance, sigma)
    logs = np.log(low)
    logs -= logs[inside].mean()
    spread = float(logs[inside].std())
    shading = np.exp(logs * min(1.0, _CONTRAST / max(spread, 1e-6)))
    shading = np.clip(shading / shading[inside].mean(), *_RANGE).astype(np.float32)
    near = _blurred(luminance, min(sigma, _LEAST_LOW))
    grain = np.clip((luminance / near) ** _GRAIN, *_GRAIN_RANGE).astype(np.float32)
    slope = (
        np.stack([cv2.Sobel(shading, cv2.CV_32F, 1, 0), cv2.Sobel(shading, cv2.CV_32F, 0, 1)], axis=-1) / 8
    )
    slope *= sigma  # change of the light over the width of a fold
    steep = np.linalg.norm(slope, axis=-1, keepdims=True)
    push = slope / np.maximum(steep, 1e-6) * np.minimum(steep, 1.0) * _PUSH * width
    return Light(shading=shading, grain=grain, push=push.astype(np.float32))


def _blurred(luminance: _Linear, sigma: float) -> _Linear:
    """Gaussian low-pass; a wide one of the picture made smaller, where it takes no longer than a narrow one."""
    shrink = max(1, int(sigma / _LEAST_SIGMA))
    height, width = luminance.shape
    size = (max(1, width // shrink), max(1, height // shrink))
    small = cv2.resize(luminance, size, interpolation=cv2.INTER_AREA) if shrink > 1 else luminance
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) if shrink > 1 else small


def composite(pixels: Pixels, logo: Logo, corners: Corners, *, sewn: bool = False) -> Pixels:
    """A copy of the picture [height, width, 3] with the logo's visible part between the corners.

    Args:
        sewn: as embroidery (`stitching`), an approximation, instead of an exact print.
    """
    left, top, right, bottom = geometry.bounds(corners)
    around = 8 + _AROUND * max(right - left, bottom - top)  # light is measured around the logo, too
    part = _within((left - around, top - around, right + around, bottom + around), pixels.shape)
    local = corners - (part[1].start, part[0].start)
    cloth = to_linear(pixels[part])
    light = light_of(cloth, geometry.covered(local, cloth.shape[:2]), local)
    left, top, right, bottom = geometry.bounds(local)
    edge = 2 + (_PUSH + (_SEWN if sewn else 0)) * max(right - left, bottom - top)
    close = _within((left - edge, top - edge, right + edge, bottom + edge), cloth.shape)
    ink = _warped(logo, local - (close[1].start, close[0].start), light.push[close])
    ground = cloth[close]
    if sewn:
        ink, left_light = stitching.sewn(ink, float(geometry.lengths(corners).max()))
        ground = ground * left_light[..., None]
    alpha = ink[..., 3:]
    mixed = ground * (1 - alpha) + ink[..., :3] * (light.shading * light.grain)[close][..., None]
    result = pixels.copy()
    touched = alpha[..., 0] > 0
    if sewn:
        touched |= left_light < _LIT
    result[part][close][touched] = to_srgb(mixed[touched])
    return result


def _within(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a box, as far as they are in the picture."""
    left, top, right, bottom = (
        int(np.floor(box[0])),
        int(np.floor(box[1])),
        int(np.ceil(box[2])),
        int(np.ceil(box[3])),
    )
    return slice(max(0, top), min(shape[0], bottom)), slice(max(0, left), min(shape[1], right))


def _warped(logo: Logo, corners: Corners, push: _Linear) -> _Linear:
    """[height, width, 4] of the part: linear light, premultiplied, the mean of `_OVER` x `_OVER` samples per pixel."""
    height, width = push.shape[:2]
    longest = int(np.ceil(geometry.lengths(corners).max()))
    over = _OVER if longest <= _LARGE else 1
    drawn, frame = logo.framed(longest * over)
    alpha = drawn[..., 3:].astype(np.float32) / 255
    ink = np.concatenate([to_linear(drawn[..., :3]) * alpha, alpha], axis=-1)
    back = geometry.perspective(corners * over, geometry.box_corners(*frame))
    rows, columns = np.mgrid[0 : height * over, 0 : width * over].astype(np.float32) + 0.5
    pushed = cv2.resize(push, (width * over, height * over), interpolation=cv2.INTER_LINEAR) * over
    x, y = columns - pushed[..., 0], rows - pushed[..., 1]
    depth = np.maximum(back[2, 0] * x + back[2, 1] * y + back[2, 2], 1e-6)  # behind the horizon: far outside
    map_x = ((back[0, 0] * x + back[0, 1] * y + back[0, 2]) / depth - 0.5).astype(np.float32)
    map_y = ((back[1, 0] * x + back[1, 1] * y + back[1, 2]) / depth - 0.5).astype(np.float32)
    fine = cv2.remap(ink, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) if over > 1 else fine
