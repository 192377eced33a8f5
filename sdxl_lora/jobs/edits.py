"""A picture and what is to be done to it -> the request for that. Pages, command line and API share it.

Every edit is a request like any other: its start picture and mask are kept among the inputs, and where the picture is
one of this studio, the new one names it. What is not said is as in the picture's own request, if it carries one: words,
what to avoid, model, LoRAs.
"""

import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from PIL import Image

from sdxl_lora import config, inputs
from sdxl_lora.data import images
from sdxl_lora.editing import cutout, outpainting
from sdxl_lora.editing.outpainting import Anchor
from sdxl_lora.errors import ImageError, InputError, PromptError
from sdxl_lora.models import registry
from sdxl_lora.prompts import attributes
from sdxl_lora.records import Record, layout, metadata
from sdxl_lora.request import GenerationRequest, expansion

VARIATIONS: Final = {"subtle": 0.35, "strong": 0.65}  # strength of the change
WIDENED: Final = 0.7  # strength in the new part: the carried-on edge stays to be seen
_FINISHED_ONLY: Final = "a product"  # what stands in the record of a photo that says nothing
PARTS: Final = ("garment", "background")  # that a mask can be found for
_ON_GARMENT = "front|back|side|chest|sleeve|leg|hanger|mannequin|centre"  # is no place of the garment itself
_PLACES = re.compile(
    rf"\b(?:in front of|against|under|on|in|at)(?! (?:the |an? )?(?:{_ON_GARMENT})) [^,.;]+$"
)
_WHOLE = 128  # of a cut-out's alpha: from here on it is the product


@dataclass(frozen=True, kw_only=True)
class Source:
    """A picture that is to be edited."""

    picture: str  # its hash among the inputs
    width: int  # px
    height: int  # px
    request: GenerationRequest | None = None  # what it was made with, where it says so
    made_from: str = ""  # its id, where it is a picture of this studio
    notes: tuple[str, ...] = ()  # what was done to it when it was read

    @property
    def prompt(self) -> str:
        """Its words; "" = not known."""
        return self.request.prompt if self.request else ""

    def image(self) -> Image.Image:
        """Its pixels, RGB."""
        return inputs.open(self.picture).convert("RGB")


def of_bytes(data: bytes, name: str, *, made_from: str = "") -> Source:
    """A picture from outside. Raises `ImageError`, `StorageError`."""
    kept = inputs.keep(data, name=name)
    said = metadata.said_by(io.BytesIO(data))
    return Source(
        picture=kept.hash,
        width=kept.width,
        height=kept.height,
        request=None if said is None else expansion.literal(said),
        made_from=made_from,
        notes=kept.notes,
    )


def of_file(path: Path) -> Source:
    """A picture on this machine; one of the studio's, or a copy under its name, is known. Raises as `of_bytes`."""
    data = images.content(path)
    known = layout.is_id(path.stem) and layout.picture_path(config.home(), path.stem).is_file()
    return of_bytes(data, path.name, made_from=path.stem if known else "")


def of_record(record: Record) -> Source:
    """A picture of the studio. Raises `ImageError` where its file is gone."""
    try:
        kept = inputs.keep(record.path.read_bytes(), name="the picture")
    except OSError as error:
        raise ImageError("the file of this picture is gone; choose another") from error
    return Source(
        picture=kept.hash,
        width=kept.width,
        height=kept.height,
        request=expansion.literal(record.request),
        made_from=record.id,
    )


def vary(source: Source, prompt: str = "", *, strength: float | None = None) -> GenerationRequest:
    """The whole picture, a little or quite different. Raises `PromptError` where nobody says what it shows."""
    request = _begun(source, prompt)
    if source.request is not None:
        request = replace(request, logos=source.request.logos)  # drawn anew, they would not be exact
    return replace(request, strength=strength)


def finish(source: Source, prompt: str = "", **after: Any) -> GenerationRequest:
    """The picture as it is, with what is done after decoding: logos, background, colour, size; no model draws.

    A photo that says nothing needs no words here.

    Args:
        after: fields of the request that change no latents.
    """
    begun = _begun(source, prompt.strip() or source.prompt or _FINISHED_ONLY)
    return replace(begun, strength=0.0, **after)


def change_part(
    source: Source, mask: Image.Image, prompt: str = "", *, strength: float | None = None
) -> GenerationRequest:
    """Only what is white in `mask` is drawn anew. Raises `ImageError` for a mask of another size or an empty one."""
    if mask.size != (source.width, source.height):
        sizes = f"{mask.width}x{mask.height} px, the picture {source.width}x{source.height}"
        raise ImageError(f"the mask is {sizes}; draw it on that very picture")
    white = mask.convert("L").point(lambda value: 255 if value >= _WHOLE else 0)
    if white.getbbox() is None:
        raise ImageError("the mask is empty; mark the part that is to be drawn anew in white")
    kept = inputs.keep(white, name="the mask")
    return replace(_begun(source, prompt), mask=kept.hash, strength=strength)


def widen(
    source: Source,
    ratio: float,
    prompt: str = "",
    *,
    anchor: Anchor = "middle",
    strength: float | None = None,
) -> GenerationRequest:
    """The same picture in another frame, every pixel of it kept; `prompt`: what the new part shows.

    Raises `ImageError` where the picture has that shape already, or would grow too much.
    """
    canvas, mask = outpainting.widened(source.image(), ratio, anchor)
    begun = _begun(source, prompt or surroundings(source.prompt))
    return replace(
        begun,
        start_picture=inputs.keep(canvas).hash,
        mask=inputs.keep(mask).hash,
        strength=WIDENED if strength is None else strength,
    )


def part_mask(source: Source, part: str) -> tuple[Image.Image, str]:
    """(mask, how it was found) of the garment or the background. Raises `ImageError` where no product is found."""
    if part not in PARTS:
        raise InputError(f"there is no part {part!r}; say {' or '.join(PARTS)}")
    alone, how = product(source)
    garment = alone.getchannel("A").point(lambda value: 255 if value >= _WHOLE else 0)
    return (garment if part == "garment" else garment.point(lambda value: 255 - value)), how


def product(source: Source) -> tuple[Image.Image, str]:
    """(the product on nothing, RGBA, how it was found). Raises `ImageError` where none is found."""
    found = cutout.cut_out(inputs.open(source.picture))
    return found.image, f"found by {found.method}" + (f" ({found.reason})" if found.reason else "")


def rectangle_mask(source: Source, left: int, top: int, width: int, height: int) -> Image.Image:
    """White in a rectangle, px. Raises `ImageError` for one that is not inside the picture."""
    inside = 0 <= left < left + width <= source.width and 0 <= top < top + height <= source.height
    if not inside:
        raise ImageError(
            f"the rectangle {left},{top},{width},{height} is not inside the picture of"
            f" {source.width}x{source.height} px"
        )
    mask = Image.new("L", (source.width, source.height))
    mask.paste(255, (left, top, left + width, top + height))
    return mask


def surroundings(prompt: str) -> str:
    """What of a picture's words says where the product is, without the product: it must not be drawn twice."""
    said = [found.value for found in attributes.find(prompt) if found.name == "background"]
    if said:
        return said[0]
    places = [found[0] for part in prompt.split(",") if (found := _PLACES.search(part))]
    return places[-1].strip() if places else "plain background"


def _begun(source: Source, prompt: str) -> GenerationRequest:
    own = source.request
    words = prompt.strip() or source.prompt
    if not words:
        raise PromptError("say what the picture should show; it does not carry its own words")
    carried: dict[str, Any] = {}
    if own is not None:
        carried["negative_prompt"] = own.negative_prompt
        if words == own.prompt:
            carried |= {"template": own.template, "slots": own.slots}
        if _is_here(own.model):
            carried |= {"model": own.model, "loras": own.loras}
    return GenerationRequest(
        prompt=words, start_picture=source.picture, made_from=source.made_from, **carried
    )


def _is_here(model: str) -> bool:
    try:
        return registry.describe(model).present
    except InputError:  # a model of another machine
        return False
