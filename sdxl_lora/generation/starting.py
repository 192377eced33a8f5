"""Pictures that begin from a picture: image-to-image, and inpainting where there is a mask.

Without a mask the start picture is brought to the size that is drawn, cut at the edges where its shape is another, and
the result is a picture of that size. With a mask the model sees the masked part with its surroundings, not enlarged
unless the whole picture is small; what it drew is put back into the start picture at its own size, inside the mask
only. Every pixel outside is the start picture's, bit for bit; the edge is blended inside.
What is wrong with a start picture or mask is said before a model is loaded.
"""

import functools
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from sdxl_lora import inputs
from sdxl_lora.errors import Cancelled, ImageError, RequestError
from sdxl_lora.generation.events import Event, PictureDone, Started
from sdxl_lora.models.registry import ModelDefaults, ModelInfo
from sdxl_lora.request import GenerationRequest, ResolvedRequest

VARIED = 0.6  # strength where nothing is said: the start picture stays to be seen
REDRAWN = 1.0  # inside a mask
_SURROUNDINGS = 1.5  # times the masked part's sides that the model sees at least
_NEARLY_WHOLE = 0.7  # of a picture's area: the rest is shown, too
_OWN_SIZE = (0.5, 2.0)  # times the model's area in which a picture keeps its size
_SHORTEST = 64  # px of a side that is drawn; what requests allow
_FEATHER = 1 / 64  # of the start picture's shorter side, where nothing is said
_MARKED = 128  # from this grey on a pixel of a mask is to be drawn anew

Box = tuple[int, int, int, int]  # left, top, right, bottom; px


@dataclass(frozen=True, kw_only=True)
class Start:
    """What one request begins from, in the size that is drawn, and how its pictures are put together."""

    picture: Image.Image  # RGB
    mask: Image.Image | None  # L, white = anew
    whole: Image.Image  # the start picture at its own size
    box: Box  # of it, that the model sees
    opacity: NDArray[np.float32] | None  # of what is drawn in the box (HW); 0 outside the mask

    def finished(self, drawn: Image.Image) -> Image.Image:
        """The picture, from what the model drew."""
        if self.opacity is None:
            return drawn
        left, top, right, bottom = self.box
        fitted = drawn.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        old = np.asarray(self.whole.crop(self.box), dtype=np.float32)
        new = np.asarray(fitted, dtype=np.float32)
        mixed = old + (new - old) * self.opacity[..., None]
        result = self.whole.copy()
        result.paste(Image.fromarray(np.rint(mixed).astype(np.uint8)), (left, top))
        return result


def check(request: GenerationRequest) -> None:
    """Raises `InputError` where start picture and mask of `request` are not there, or do not belong together."""
    if not request.start_picture:
        for name, value in (("mask", request.mask), ("strength", request.strength not in (None, 1.0))):
            if value:
                raise RequestError(f"a {name} needs a start picture; name the picture that is to be changed")
        return
    width, height = inputs.size(request.start_picture)
    if request.sketch_steps:
        raise RequestError(
            "a picture that begins from a picture finishes no sketch; leave out the sketch steps"
        )
    if request.mask:
        if inputs.size(request.mask) != (width, height):
            own = "x".join(map(str, inputs.size(request.mask)))
            raise ImageError(
                f"the mask is {own} px, the picture {width}x{height}; draw it on that very picture"
            )
        _bounds_of(request.mask)


def decided(request: GenerationRequest, info: ModelInfo) -> dict[str, Any]:
    """What a request leaves open and its start picture decides: size, strength and soft edge."""
    if not request.start_picture:
        return {}
    own = inputs.size(request.start_picture)
    box = _seen(own, _bounds_of(request.mask), info.defaults) if request.mask else (0, 0, *own)
    found: dict[str, Any] = {}
    if request.cleanup_timestep is None:
        found["cleanup_timestep"] = 0  # it would take the texture of a photo away
    if request.width is None and request.height is None:
        sides = (box[2] - box[0], box[3] - box[1])
        found["width"], found["height"] = drawn_size(sides, info)
    if request.strength is None:
        found["strength"] = REDRAWN if request.mask else VARIED
    if request.mask_feather is None and request.mask:
        found["mask_feather"] = max(2, round(min(own) * _FEATHER))
    return found


def check_steps(request: ResolvedRequest) -> None:
    """Raises `RequestError` where the strength leaves no step to go."""
    if request.start_picture and request.is_drawn and int(request.steps * request.strength) < 1:
        least = 1 / request.steps
        raise RequestError(
            f"a strength of {request.strength:g} leaves none of {request.steps} steps;"
            f" use {math.ceil(least * 100) / 100:g} or more"
        )


def prepare(request: ResolvedRequest, defaults: ModelDefaults) -> Start | None:
    """What `request` begins from; None = noise. Raises `NotFoundError`, `ImageError`, `StorageError`."""
    if not request.start_picture:
        return None
    whole = _opaque(inputs.open(request.start_picture))
    size = (request.width, request.height)
    if not request.mask:
        picture = ImageOps.fit(whole, size, Image.Resampling.LANCZOS)
        return Start(picture=picture, mask=None, whole=whole, box=(0, 0, *whole.size), opacity=None)
    marked = _marked(request.mask)
    box = _seen(whole.size, _bounds(marked), defaults)
    inside = marked[box[1] : box[3], box[0] : box[2]]
    return Start(
        picture=whole.crop(box).resize(size, Image.Resampling.LANCZOS),
        mask=_shrunk(inside, size),
        whole=whole,
        box=box,
        opacity=_opacity(inside, request.mask_feather),
    )


def as_it_is(request: ResolvedRequest, *, cancel: threading.Event | None = None) -> Iterator[Event]:
    """The events of `generate` for a request that is not drawn: its start picture, RGB or RGBA, to be finished only.

    Needs no model. Raises `NotFoundError`, `StorageError`, `Cancelled`.
    """
    yield Started(request=request, count=request.count)
    for index in range(request.count):
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled")
        started = time.perf_counter()
        image = inputs.open(request.start_picture)
        seconds = time.perf_counter() - started
        seed = request.for_picture(index).seed
        yield PictureDone(index=index, seed=seed, image=image, seconds=seconds)


def drawn_size(sides: tuple[int, int], info: ModelInfo) -> tuple[int, int]:
    """Width and height in px at which a model draws a picture of these `sides`: its own where the model can, else the
    same shape at the area that the model was made for.
    """
    defaults, multiple = info.defaults, info.capabilities.multiple
    area = defaults.width * defaults.height
    share = sides[0] * sides[1] / area
    if not any(side % multiple for side in sides) and _OWN_SIZE[0] <= share <= _OWN_SIZE[1]:
        return sides
    step = math.lcm(multiple, 64 if min(defaults.width, defaults.height) >= 512 else 32)
    wanted = min(max(share, _OWN_SIZE[0]), 1.0) * area
    scale = math.sqrt(wanted / (sides[0] * sides[1]))
    most = info.capabilities.largest_area * area
    shorter, longer = sorted(max(_SHORTEST, round(side * scale / step) * step) for side in sides)
    longer = min(
        longer, int(most / shorter / step) * step
    )  # of a strip, whose shorter side cannot become less
    return (shorter, longer) if sides[0] <= sides[1] else (longer, shorter)


def _seen(size: tuple[int, int], bounds: Box, defaults: ModelDefaults) -> Box:
    """The part of a picture that the model sees: the masked one in the middle where there is room."""
    left, top, right, bottom = bounds
    sides = []
    for low, high, most, own in (
        (left, right, size[0], defaults.width),
        (top, bottom, size[1], defaults.height),
    ):
        side = min(most, max(own, math.ceil((high - low) * _SURROUNDINGS)))
        start = min(max(0, (low + high - side) // 2), most - side)
        sides.append((start, start + side))
    (left, right), (top, bottom) = sides
    if (right - left) * (bottom - top) >= _NEARLY_WHOLE * size[0] * size[1]:
        return (0, 0, *size)
    return (left, top, right, bottom)


def _marked(digest: str) -> NDArray[np.bool_]:
    """A mask's pixels that are to be drawn anew (HW)."""
    return np.asarray(_opaque(inputs.open(digest)).convert("L")) >= _MARKED


@functools.lru_cache(maxsize=64)
def _bounds_of(digest: str) -> Box:
    """`_bounds` of a kept mask, whose contents never change."""
    return _bounds(_marked(digest))


def _bounds(marked: NDArray[np.bool_]) -> Box:
    """The smallest box around what is marked. Raises `ImageError` where nothing is."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    if not len(rows):
        raise ImageError("the mask is empty; mark the part that is to be drawn anew in white")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _shrunk(marked: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    """The mask in the size that is drawn; what is touched by a marked pixel is marked."""
    grey = Image.fromarray(marked.astype(np.uint8) * 255)
    if grey.size == size:
        return grey
    return grey.resize(size, Image.Resampling.BOX).point(lambda value: 255 if value > 0 else 0)


def _opacity(marked: NDArray[np.bool_], feather: int) -> NDArray[np.float32]:
    """1 inside the mask, falling to 0 over `feather` px towards its edge, 0 outside. A picture's edge is none."""
    if feather == 0 or marked.all():
        return marked.astype(np.float32)
    distance = ndimage.distance_transform_edt(marked)  # px to the nearest pixel that stays
    return np.minimum(distance / (feather + 1), 1.0).astype(np.float32)


def _opaque(image: Image.Image) -> Image.Image:
    """RGB; transparent parts are white, as in every picture from outside."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
