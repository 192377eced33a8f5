"""One LoRA of a request."""

import math
from dataclasses import dataclass
from typing import Self

from sdxl_lora.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class LoraSpec:
    """One LoRA to load onto the model."""

    path: str  # file, folder or hub id
    weight: float = 1.0  # scale; 0 = off
    sha256: str = ""  # of the file it was, for the record; only a `ResolvedRequest` insists on it

    def __post_init__(self) -> None:
        for name, text in (("path", self.path), ("hash", self.sha256)):
            if not isinstance(text, str):
                raise RequestError(f"the {name} of a LoRA is {text!r}, which is no text")
        if isinstance(self.weight, bool) or not isinstance(self.weight, int | float):
            raise RequestError(f"LoRA weight {self.weight!r} is not a number")
        if not math.isfinite(self.weight) or abs(self.weight) > 10:
            raise RequestError(
                f"LoRA weight {self.weight} is not between -10 and 10; 1 is the trained strength"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """`PATH` or `PATH:WEIGHT`, as on the command line."""
        path, colon, weight = text.rpartition(":")
        if colon and path:
            try:
                return cls(path=path, weight=float(weight))
            except ValueError:
                pass  # a colon inside the path itself
        return cls(path=text)
