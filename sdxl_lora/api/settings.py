"""What the API allows: sizes, rates, numbers at once. From the environment, then defaults."""

import os
from dataclasses import dataclass
from typing import Self

from sdxl_lora.errors import RequestError
from sdxl_lora.request import MAX_STEPS

MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every limit of one token where nothing else is said."""

    body_bytes: int = 32 * MEGABYTE  # of a request with pictures
    json_bytes: int = MEGABYTE  # of one without
    pixels: int = 4_194_304  # of a picture, sent or asked for
    steps: int = MAX_STEPS
    pictures: int = 10  # of one request
    per_minute: int = 120  # pictures asked for
    at_once: int = 16  # requests for pictures that wait or are drawn
    waiting: int = 256  # of all tokens together
    seconds_to_send: float = 60.0  # a body
    longest_wait: float = (
        240.0  # seconds in line, of who waits for the answer; clients give up after some minutes
    )
    keep_alive: float = 15.0  # seconds between comments in a stream in which nothing happens

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `RequestError` for a value that is no whole number from 1 on."""
        environ = os.environ
        return cls(
            body_bytes=_whole("SDXL_LORA_API_BODY_MB", environ.get("SDXL_LORA_API_BODY_MB"), 32) * MEGABYTE,
            pixels=_whole("SDXL_LORA_API_MEGAPIXELS", environ.get("SDXL_LORA_API_MEGAPIXELS"), 4) * MEGABYTE,
            per_minute=_whole("SDXL_LORA_API_RATE", environ.get("SDXL_LORA_API_RATE"), 120),
            at_once=_whole("SDXL_LORA_API_AT_ONCE", environ.get("SDXL_LORA_API_AT_ONCE"), 16),
        )


def _whole(name: str, text: str | None, default: int) -> int:
    if not text:
        return default
    if not text.strip().isdecimal() or not 1 <= int(text) <= 10**6:
        raise RequestError(f"{name} is {text!r}; give a whole number from 1 on")
    return int(text)
