"""`edit IMAGE [PROMPT]`: a picture varied, a part of it drawn anew, or its frame widened; recorded like any other."""

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora.cli import logos, making, terminal
from sdxl_lora.errors import RequestError
from sdxl_lora.request import GenerationRequest, flags
from sdxl_lora.request.finish import Finish

if TYPE_CHECKING:
    from PIL import Image

    from sdxl_lora.jobs.edits import Source
    from sdxl_lora.request import LogoSpec

_AFTER = {field.name for field in fields(Finish)} | {"upscale"}  # what is done to a finished picture
_ANCHORS = ("middle", "start", "end")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defaults come from the picture's own request where it carries one, then as in `generate`."""
    add = parser.add_argument
    add("image", type=Path, metavar="IMAGE", help="the picture to begin from: a photo, or one made here")
    add(
        "prompt",
        nargs="?",
        default="",
        metavar="PROMPT",
        help="what it should show, in a mask or new part only that; left out: the picture's own words",
    )
    add(
        "--variation",
        choices=("subtle", "strong"),
        help="vary the whole picture a little, or a lot, instead of a --strength",
    )
    add(
        "--rectangle",
        metavar="X,Y,W,H",
        help="draw only this rectangle anew; px from the picture's upper left corner",
    )
    add(
        "--outpaint",
        metavar="W:H",
        help="widen the frame to this shape, as 16:9; every pixel of the picture is kept",
    )
    add(
        "--anchor",
        choices=_ANCHORS,
        default="middle",
        help="where in the widened frame the picture stands: start is left or above",
    )
    flags.add(parser, start=True)
    logos.add_arguments(parser)
    making.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Makes, records and names the pictures. Raises `InputError`, `ModelUnavailableError`, `StorageError`."""
    from sdxl_lora.jobs import edits

    _check_one_way(arguments)
    source = edits.of_file(arguments.image)
    for note in source.notes:
        terminal.note(f"{arguments.image.name}: {note}")
    making.make(
        arguments, build_request(arguments, source), made_from=source.made_from or str(arguments.image)
    )
    return 0


def build_request(arguments: argparse.Namespace, source: "Source") -> GenerationRequest:
    """The request these arguments describe. Raises `InputError`, `StorageError`."""
    from sdxl_lora.editing import outpainting
    from sdxl_lora.jobs import edits

    strength, placed = arguments.strength, logos.chosen(arguments)
    if arguments.variation:
        strength = edits.VARIATIONS[arguments.variation]
    if arguments.outpaint:
        ratio = outpainting.ratio_of(arguments.outpaint)
        request = edits.widen(source, ratio, arguments.prompt, anchor=arguments.anchor, strength=strength)
    elif (mask := _mask(arguments, source)) is not None:
        request = edits.change_part(source, mask, arguments.prompt, strength=strength)
    elif strength is None and (placed or (_finished(arguments) and not arguments.prompt)):  # nothing is drawn
        _check_places(source, placed)
        return replace(edits.finish(source, arguments.prompt, logos=placed), **_said(arguments))
    else:
        request = edits.vary(source, arguments.prompt, strength=strength)
    return replace(request, logos=placed or request.logos, **_said(arguments))


def _check_places(source: "Source", placed: Sequence["LogoSpec"]) -> None:
    """Raises `LogoError` for a logo that has no place on the picture, which would come out as it went in."""
    from sdxl_lora.logos import asked

    image = source.image()
    for spec in placed:
        if spec.placed:
            asked.corners_on(image, spec)


def _said(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the flags say beside the edit itself; what they leave open is the picture's own."""
    values = {name: value for name, value in flags.values(arguments).items() if value != ()}
    if "model" in values:  # a LoRA of the picture's own model need not fit
        values.setdefault("loras", ())
    return {name: value for name, value in values.items() if name not in ("mask", "strength")}


def _finished(arguments: argparse.Namespace) -> bool:
    """Whether anything is to be done after decoding: background, colour, size."""
    return bool(_AFTER & flags.values(arguments).keys())


def _check_one_way(arguments: argparse.Namespace) -> None:
    """Raises `RequestError` where two things are wanted that exclude each other."""
    for names in (("mask", "rectangle", "outpaint"), ("strength", "variation")):
        given = [f"--{name}" for name in names if getattr(arguments, name) is not None]
        if len(given) > 1:
            raise RequestError(f"{' and '.join(given)} exclude each other; give one of them")
    if arguments.slots:
        raise RequestError("--set fills slots of a template, which an edit has none of; write PROMPT instead")


def _mask(arguments: argparse.Namespace, source: "Source") -> "Image.Image | None":
    """The part to draw anew; None = the whole picture."""
    from sdxl_lora import inputs
    from sdxl_lora.jobs import edits

    if arguments.rectangle:
        try:
            left, top, width, height = (int(side) for side in arguments.rectangle.split(","))
        except ValueError:
            raise RequestError(
                f"--rectangle {arguments.rectangle!r} is not of the form X,Y,W,H in whole px"
            ) from None
        return edits.rectangle_mask(source, left, top, width, height)
    if not arguments.mask:
        return None
    if arguments.mask in edits.PARTS and not Path(arguments.mask).exists():
        mask, how = edits.part_mask(source, arguments.mask)
        terminal.note(f"the {arguments.mask} was {how}")
        return mask
    return inputs.open(inputs.keep_file(Path(arguments.mask)).hash)
