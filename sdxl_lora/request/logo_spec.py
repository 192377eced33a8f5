"""One logo of a request: which file, and where on the picture. The kind `Logos` is a tuple of them."""

import math
import re
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from sdxl_lora.errors import RequestError
from sdxl_lora.request.kinds import Kind

MAX_LOGOS: Final = 8
FREE: Final = "free"  # placed by centre, width and angle, or by corners
PRINT, EMBROIDERED = "print", "embroidered"
LOOKS: Final = (PRINT, EMBROIDERED)
EXPECTED: Final = "expected"  # not placed: the picture must show it by itself
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_POSITION: Final = re.compile(r"[a-z][a-z-]{0,30}")
_MAX_TURN: Final = 360.0  # degrees
_HELP: Final = (
    "write POSITION[,WIDTH[,ANGLE]] (chest,0.3), X,Y,WIDTH[,ANGLE] in shares of the picture, or four corners;"
    f" add ,{EMBROIDERED} for threads"
)


@dataclass(frozen=True, kw_only=True)
class LogoSpec:
    """Where one logo goes. A free place is in shares of the picture: x and width of its width, y of its height."""

    hash: str  # SHA-256 of the file among the inputs
    name: str = ""  # of the file, for people
    at: str = "chest"  # a named position (`logos.positions.POSITIONS`), `FREE` or `EXPECTED`
    x: float | None = None  # centre of a free place
    y: float | None = None
    width: float | None = None  # of a named position: share of the part it is on; None = the usual one
    angle: float = 0.0  # degrees, clockwise as seen
    corners: tuple[
        tuple[float, float], ...
    ] = ()  # of a free place in perspective: four, from top left, clockwise
    look: str = PRINT  # or `EMBROIDERED`: threads, an approximation that a model draws over

    def __post_init__(self) -> None:
        if not isinstance(self.hash, str) or not _HASH.fullmatch(self.hash):
            raise RequestError(f"a logo's file {self.hash!r:.80} is not the SHA-256 of a kept input")
        if not isinstance(self.name, str):
            raise RequestError(f"a logo's name {self.name!r} is no text")
        if not isinstance(self.at, str) or not _POSITION.fullmatch(self.at):
            raise RequestError(f"{self.at!r} is no position of a logo; {_HELP}")
        if self.look not in LOOKS:
            raise RequestError(f"a logo's look {self.look!r:.40} is neither {PRINT} nor {EMBROIDERED}")
        _check("angle", self.angle, -_MAX_TURN, _MAX_TURN)
        if self.width is not None:
            _check("width", self.width, 0.005, 2.0)
        if self.at == FREE:
            self._check_free()

    def _check_free(self) -> None:
        if self.corners:
            if len(self.corners) != 4 or any(len(point) != 2 for point in self.corners):
                raise RequestError(f"a logo has four corners, each X,Y; {_HELP}")
            for point in self.corners:
                _check("x", point[0], 0.0, 1.0)
                _check("y", point[1], 0.0, 1.0)
            return
        if self.x is None or self.y is None or self.width is None:
            raise RequestError(f"a logo that is placed freely needs X, Y and WIDTH; {_HELP}")
        _check("x", self.x, 0.0, 1.0)
        _check("y", self.y, 0.0, 1.0)

    @property
    def placed(self) -> bool:
        """Whether it is composited onto the picture."""
        return self.at != EXPECTED

    @property
    def embroidered(self) -> bool:
        """Whether it is threads and no exact print."""
        return self.look == EMBROIDERED

    @classmethod
    def parse(cls, text: str, *, hash: str, name: str = "") -> Self:
        """`--at`: `chest`, `chest,0.3,-5`, `X,Y,WIDTH[,ANGLE]`, or the eight numbers of four corners.

        With `,embroidered` at the end it is embroidered.
        """
        place, comma, look = text.rpartition(",")
        if comma and look.strip() in LOOKS:
            return replace(cls.parse(place, hash=hash, name=name), look=look.strip())
        words = [word.strip() for word in text.split(",")]
        if _POSITION.fullmatch(words[0]) and words[0] not in ("nan", "inf"):
            width, angle = (*_numbers(words[1:], text), None, None)[:2]
            if len(words) > 3:
                raise RequestError(f"--at {text!r} has too many parts; {_HELP}")
            return cls(hash=hash, name=name, at=words[0], width=width, angle=angle or 0.0)
        numbers = _numbers(words, text)
        if len(numbers) == 8:
            corners = tuple(zip(numbers[::2], numbers[1::2], strict=True))
            return cls(hash=hash, name=name, at=FREE, corners=corners)
        if len(numbers) not in (3, 4):
            raise RequestError(f"--at {text!r} is no place; {_HELP}")
        x, y, width, angle = (*numbers, 0.0)[:4]
        return cls(hash=hash, name=name, at=FREE, x=x, y=y, width=width, angle=angle)

    def __str__(self) -> str:
        where = self.at
        if self.at == FREE and not self.corners:
            where = f"{self.x:.0%}, {self.y:.0%}"
        shown = f"{self.name or self.hash[:12]} at {where}"
        if self.width is not None:
            shown += f" × {self.width:g}"
        if self.angle:
            shown += f" ({self.angle:g}°)"
        if self.embroidered:
            shown += ", embroidered (approximate)"
        return shown


@dataclass(frozen=True, kw_only=True)
class Logos(Kind):
    """A tuple of `LogoSpec`."""

    repeatable = True

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, tuple) or not all(isinstance(logo, LogoSpec) for logo in value):
            raise RequestError(f"{name} {value!r} are no logos")
        if len(value) > MAX_LOGOS:
            raise RequestError(f"{len(value)} logos are too many for one picture; the most is {MAX_LOGOS}")

    def words(self, value: Any) -> str:
        return "; ".join(map(str, value)) or "none"

    def to_json(self, value: Any) -> Any:
        return [
            {f.name: getattr(logo, f.name) for f in fields(LogoSpec) if f.name != "look" or logo.embroidered}
            | {"corners": [list(point) for point in logo.corners]}
            for logo in value  # without its look a print is what it was before there were others
        ]

    def from_json(self, value: Any) -> Any:
        return tuple(_from_json(dict(entry)) for entry in value)

    def schema(self) -> dict[str, Any]:
        share = {"anyOf": [{"type": "number"}, {"type": "null"}]}
        point = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        logo = {
            "type": "object",
            "properties": {
                "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "name": {"type": "string"},
                "at": {"type": "string", "description": f"a position, {FREE} or {EXPECTED}"},
                "x": share,
                "y": share,
                "width": share,
                "angle": {"type": "number", "minimum": -_MAX_TURN, "maximum": _MAX_TURN},
                "corners": {"type": "array", "items": point},
                "look": {"enum": list(LOOKS)},
            },
            "required": ["hash"],
            "additionalProperties": False,
        }
        return {"type": "array", "items": logo, "maxItems": MAX_LOGOS}


def _from_json(entry: dict[str, Any]) -> LogoSpec:
    corners = tuple((x, y) for x, y in entry.pop("corners", ()))
    return LogoSpec(corners=corners, **entry)


def _check(name: str, value: Any, low: float, high: float) -> None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not known or not low <= value <= high:
        raise RequestError(f"a logo's {name} {value!r} is not a number between {low:g} and {high:g}; {_HELP}")


def _numbers(words: list[str], text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        raise RequestError(f"--at {text!r} is no place; {_HELP}") from None
