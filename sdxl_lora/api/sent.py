"""Pictures that come with a request: bytes or base64, never an address."""

import base64
import binascii
import re

from PIL import Image, ImageOps

from sdxl_lora import inputs
from sdxl_lora.api.problems import Problem
from sdxl_lora.data import images

_DATA = re.compile(r"data:[\w.+/-]*;base64,", re.ASCII)
_EDIT = 128  # alpha below which OpenAI's masks mean "draw anew"


def decoded(text: str, name: str) -> bytes:
    """The file in a data URI or in plain base64. Raises `Problem`."""
    if re.match(r"\s*(https?|ftp|file):", text, re.IGNORECASE):
        raise Problem(
            422, f"{name} is an address, and none is ever fetched; send the picture itself", param=name
        )
    match = _DATA.match(text)
    try:
        return base64.b64decode(text[match.end() :] if match else text, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, f"{name} is no base64", code="invalid_value", param=name) from None


def pixels(data: bytes, name: str, *, alpha: bool = False) -> Image.Image:
    """RGB, or RGBA with `alpha` where the file has any. Raises `ImageError`."""
    image, _ = images.decode(data, name, most=inputs.MAX_PIXELS, alpha=alpha)
    return image


def start_picture(data: bytes, name: str) -> str:
    """The hash by which a request begins from the picture. Raises `ImageError`, `StorageError`."""
    return inputs.keep(data, name=name).hash


def mask_of_alpha(data: bytes, name: str) -> str:
    """The hash of a mask that is transparent where the picture is to be drawn anew, as OpenAI has them.

    Raises `ImageError`, `Problem`, `StorageError`.
    """
    image = pixels(data, name, alpha=True)
    if image.mode != "RGBA":
        raise Problem(
            422,
            f"{name} has no transparency; make the part transparent that is to be drawn anew",
            code="invalid_value",
            param=name,
        )
    return _kept(image.getchannel("A").point(lambda alpha: 255 if alpha < _EDIT else 0), name)


def mask_of_white(data: bytes, name: str, *, inverted: bool) -> str:
    """The hash of a mask that is white where the picture is to be drawn anew, as AUTOMATIC1111 has them.

    Raises `ImageError`, `StorageError`.
    """
    image = pixels(data, name).convert("L")
    return _kept(ImageOps.invert(image) if inverted else image, name)


def _kept(mask: Image.Image, name: str) -> str:
    return inputs.keep(mask, name=name, smallest=1).hash
