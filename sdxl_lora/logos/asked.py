"""The logos that a request asks for: their files read, their places found, and all of them put onto a picture."""

import hashlib
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.editing import cutout
from sdxl_lora.errors import ImageError, LogoError
from sdxl_lora.logos import compositing, geometry, ground, placing
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Logo
from sdxl_lora.logos.silhouette import Silhouette
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.request.logo_spec import FREE, LogoSpec

EMBROIDERY: Final = 0.2  # strength at which a model draws over threads
_OVER: Final = 0.6  # how far what the model drew stands over the threads
_RIM: Final = 0.06  # of a logo's longer side
_SOLID: Final = 128  # of 255: alpha from which the cut-out's pixels are garment
_logos: LruCache[str, Logo] = LruCache(32)
_garments: LruCache[str, Silhouette] = LruCache(8)


def read(spec: LogoSpec) -> Logo:
    """The logo of a request. Raises `NotFoundError` where its file is gone, `LogoError`, `StorageError`."""
    found = _logos.find(spec.hash)
    if found is not None:
        return found
    return _logos.keep(
        spec.hash, Logo.read(inputs.read(spec.hash), spec.name or f"the logo {spec.hash[:12]}")
    )


def garment_of(image: Image.Image) -> Silhouette:
    """The outline of the garment on a picture, found by the cut-out. Raises `ImageError`, `LogoError` without one."""
    key = hashlib.sha256(image.tobytes() + repr(image.size).encode()).hexdigest()
    found = _garments.find(key)
    if found is not None:
        return found
    alpha = np.asarray(cutout.cut_out(image).image.getchannel("A"))
    return _garments.keep(key, Silhouette.of(alpha >= _SOLID))


def corners_on(image: Image.Image, spec: LogoSpec) -> Corners:
    """Where on the picture the logo goes, px. Raises `LogoError`, `ImageError`, `NotFoundError`, `UnknownNameError`."""
    logo = read(spec)
    if spec.at != FREE:
        return placing.at(spec.at, garment_of(image), logo.aspect, width=spec.width, angle=spec.angle)
    width, height = image.size
    try:
        garment = garment_of(image)
    except (ImageError, LogoError):  # the place is the user's own
        garment = None
    shape = (height, width)
    if spec.corners:
        return placing.between([(x * width, y * height) for x, y in spec.corners], shape, garment=garment)
    assert spec.x is not None  # checked by the spec
    assert spec.y is not None
    assert spec.width is not None
    centre = (spec.x * width, spec.y * height)
    return placing.freely(centre, spec.width * width, logo.aspect, shape, angle=spec.angle, garment=garment)


def put_on(image: Image.Image, specs: Sequence[LogoSpec]) -> Image.Image:
    """The picture with its logos; a copy, alpha kept. Raises as `corners_on`; then none was put on."""
    colours = image.convert("RGB")
    places = [(spec, read(spec), corners_on(colours, spec)) for spec in specs if spec.placed]
    pixels = np.asarray(colours)
    for spec, logo, corners in places:
        pixels = compositing.composite(pixels, logo, corners, sewn=spec.embroidered)
    result = Image.fromarray(pixels)
    if image.mode == "RGBA":
        result.putalpha(image.getchannel("A"))
    return result


def doubts_on(image: Image.Image, specs: Sequence[LogoSpec], words: str = "") -> list[str]:
    """What is worth knowing of the places where logos go on a picture that has none yet; `words`: what it shows.

    Raises as `corners_on`.
    """
    colours = image.convert("RGB")
    lines = [ground.misfit(spec.at, words) for spec in specs if spec.placed]
    lines += [
        ground.doubt(np.asarray(colours), corners_on(colours, spec), spec.name)
        for spec in specs
        if spec.placed
    ]
    return list(dict.fromkeys(filter(None, lines)))


def embroidered_on(image: Image.Image, specs: Sequence[LogoSpec]) -> NDArray[np.float32] | None:
    """How far a model may draw over each pixel [height, width], 0..1: embroidered logos and a soft rim around them.

    None without one. `image` has no logos yet. Raises as `corners_on`.
    """
    sewn = [spec for spec in specs if spec.placed and spec.embroidered]
    if not sewn:
        return None
    shape = (image.height, image.width)
    opacity = np.zeros(shape, np.float32)
    for spec in sewn:
        corners = corners_on(image, spec)
        rim = max(2.0, _RIM * float(geometry.lengths(corners).max()))
        inside = geometry.covered(corners, shape).astype(np.uint8)
        away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        opacity = np.maximum(opacity, _OVER * np.clip(1 - away / rim, 0, 1))
    return opacity
