"""The kinds of values that request fields have: what is allowed, and how a value becomes text or JSON and back.

A kind knows one value and nothing of fields. A kind of its own is worth having where a value needs another check,
another form in JSON or another widget (`ui.tuning` chooses widgets by kind).
"""

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from sdxl_lora.config import MAX_PROMPT_CHARACTERS
from sdxl_lora.errors import PromptError, RequestError
from sdxl_lora.request.lora_spec import LoraSpec

# what `Text` takes, as a JSON schema says it; lone surrogates are no characters of JSON
_PRINTABLE = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What all kinds can do; the base allows any value that JSON knows."""

    repeatable = False  # on the command line

    @property
    def parse(self) -> Callable[[str], Any]:
        """Text of a flag, the environment or another program -> value. Raises `ValueError`, `InputError`."""
        return str

    def check(self, name: str, value: Any) -> None:
        """Raises `InputError` in the words of the field's `name` if `value` is not allowed."""

    def words(self, value: Any) -> str:
        """The value for people and for other programs."""
        return f"{value:g}" if isinstance(value, float) else str(value)

    def to_json(self, value: Any) -> Any:
        return value

    def from_json(self, value: Any) -> Any:
        """Inverse of `to_json`. Raises `TypeError`, `ValueError`, `InputError`."""
        return value

    def schema(self) -> dict[str, Any]:
        """JSON schema of `to_json`'s values."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Text(Kind):
    """Words, over several lines if need be."""

    longest: int = MAX_PROMPT_CHARACTERS

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise PromptError(f"the {name} is {value!r}, which is no text")
        if len(value) > self.longest:
            raise PromptError(f"the {name} has {len(value):,} characters; shorten it to {self.longest:,}")
        # Cc = control characters; Cs = lone surrogates, which no file or database can store
        bad = {c for c in value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t"}
        if bad:
            codes = ", ".join(f"U+{ord(c):04X}" for c in sorted(bad))
            raise PromptError(f"the {name} contains control characters ({codes}); remove them")

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.longest, "pattern": _PRINTABLE}


@dataclass(frozen=True, kw_only=True)
class Prompt(Text):
    """Words that must not be missing."""

    def check(self, name: str, value: Any) -> None:
        if isinstance(value, str) and not value.strip():
            raise PromptError(
                f"the {name} is empty; say what to make, for example 'a navy windbreaker jacket'"
            )
        super().check(name, value)

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "minLength": 1}


@dataclass(frozen=True, kw_only=True)
class Name(Kind):
    """The name of something that others know whether it exists: a model, a sampler, a template."""

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise RequestError(f"the {name} is {value!r}, which is no text")

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_COLOUR = "#[0-9A-Fa-f]{6}"
_HASH = r"[0-9a-f]{64}"


@dataclass(frozen=True, kw_only=True)
class Picture(Name):
    """A kept picture by the hash of its file, see `inputs`; "" = none."""

    def check(self, name: str, value: Any) -> None:
        super().check(name, value)
        if value and not re.fullmatch(_HASH, value):
            raise RequestError(f"the {name} {value!r:.80} is not the SHA-256 of a kept input picture")

    def words(self, value: Any) -> str:
        return str(value)[:12] or "none"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({_HASH})?$"}


@dataclass(frozen=True, kw_only=True)
class Choice(Name):
    """One of a few names."""

    options: tuple[str, ...]

    def check(self, name: str, value: Any) -> None:
        super().check(name, value)
        if value not in self.options:
            raise RequestError(f"{name} {value!r} is not one of {', '.join(self.options)}")

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True, kw_only=True)
class Whole(Kind):
    """A whole number."""

    low: int
    high: int
    multiple: int = 1
    besides: tuple[int, ...] = ()  # allowed although outside the range

    @property
    def parse(self) -> Callable[[str], Any]:
        return int

    def check(self, name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise RequestError(f"{name} {value!r} is not a whole number")
        if value in self.besides:
            return
        if not self.low <= value <= self.high:
            raise RequestError(f"{name} {value} is not between {self.low} and {self.high}")
        if value % self.multiple:
            nearest = round(value / self.multiple) * self.multiple
            raise RequestError(f"{name} {value} is not a multiple of {self.multiple}; use {nearest}")

    def schema(self) -> dict[str, Any]:
        within = {"type": "integer", "minimum": self.low, "maximum": self.high}
        if self.multiple > 1:
            within["multipleOf"] = self.multiple
        return {"anyOf": [within, {"enum": list(self.besides)}]} if self.besides else within


@dataclass(frozen=True, kw_only=True)
class Colour(Name):
    """An sRGB colour as #RRGGBB; "" = none."""

    @property
    def parse(self) -> Callable[[str], Any]:
        return lambda text: text.strip().upper()

    def check(self, name: str, value: Any) -> None:
        super().check(name, value)
        if value and not re.fullmatch(_COLOUR, value):
            raise RequestError(f"the {name} {value!r:.80} is no colour; write it as #1F2A44")

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({_COLOUR})?$"}


@dataclass(frozen=True, kw_only=True)
class Background(Picture):
    """What stands behind a product: transparent, white, #RRGGBB, or a kept picture by its hash; "" = as drawn."""

    plain = ("transparent", "white")

    @property
    def parse(self) -> Callable[[str], Any]:
        return lambda text: text.strip().upper() if text.strip().startswith("#") else text.strip()

    def check(self, name: str, value: Any) -> None:
        Name.check(self, name, value)
        if value and value not in self.plain and not re.fullmatch(f"{_COLOUR}|{_HASH}", value):
            raise RequestError(
                f"the {name} {value!r:.80} is not one of {', '.join(self.plain)}, and no colour such as #1F2A44"
            )

    def words(self, value: Any) -> str:
        return f"picture {value[:12]}" if re.fullmatch(_HASH, value) else value or "as drawn"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({'|'.join(self.plain)}|{_COLOUR}|{_HASH})?$"}


@dataclass(frozen=True, kw_only=True)
class Switch(Kind):
    """On or off; on the command line its flag alone is on."""

    @property
    def parse(self) -> Callable[[str], Any]:
        return _on

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, bool):
            raise RequestError(f"{name} {value!r} is neither on nor off")

    def words(self, value: Any) -> str:
        return "on" if value else "off"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, kw_only=True)
class Factor(Kind):
    """How many times as large: one of a few whole numbers, 1 = as it is."""

    options: tuple[int, ...]

    @property
    def parse(self) -> Callable[[str], Any]:
        return lambda text: int(text.strip().removesuffix("×").removesuffix("x"))

    def check(self, name: str, value: Any) -> None:
        if isinstance(value, bool) or value not in self.options:
            raise RequestError(f"{name} {value!r} is not one of {', '.join(map(str, self.options))}")

    def words(self, value: Any) -> str:
        return f"{value}×"

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True, kw_only=True)
class Seed(Whole):
    """A whole number of many digits, which a browser's number field would round."""


@dataclass(frozen=True, kw_only=True)
class Number(Kind):
    """A number that is finite."""

    low: float
    high: float
    step: float  # of the form's buttons
    advice: str = ""  # follows what is said of a value outside the range

    @property
    def parse(self) -> Callable[[str], Any]:
        return float

    def check(self, name: str, value: Any) -> None:
        known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not known or not self.low <= value <= self.high:
            advice = f"; {self.advice}" if self.advice else ""
            raise RequestError(
                f"{name} {value!r} is not a number between {self.low:g} and {self.high:g}{advice}"
            )

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, kw_only=True)
class Loras(Kind):
    """A tuple of `LoraSpec`."""

    repeatable = True

    @property
    def parse(self) -> Callable[[str], Any]:
        return LoraSpec.parse

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, tuple) or not all(isinstance(lora, LoraSpec) for lora in value):
            raise RequestError(f"{name} {value!r} is no list of LoRAs")

    def words(self, value: Any) -> str:
        return ", ".join(f"{lora.path} × {lora.weight:g}" for lora in value) or "none"

    def to_json(self, value: Any) -> Any:
        return [{f.name: getattr(lora, f.name) for f in fields(LoraSpec)} for lora in value]

    def from_json(self, value: Any) -> Any:
        return tuple(LoraSpec(**entry) for entry in value)

    def schema(self) -> dict[str, Any]:
        lora = {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "weight": {"type": "number", "minimum": -10, "maximum": 10},
                "sha256": {"type": "string"},
            },
            "required": ["path"],
            "additionalProperties": False,
        }
        return {"type": "array", "items": lora}


@dataclass(frozen=True, kw_only=True)
class Slots(Kind):
    """(name, value) pairs of a template, in its order."""

    repeatable = True

    @property
    def parse(self) -> Callable[[str], Any]:
        return _pair

    def check(self, name: str, value: Any) -> None:
        pairs = value if isinstance(value, tuple) else (value,)
        if not all(
            isinstance(p, tuple) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs
        ):
            raise RequestError(f"{name} {value!r} are no pairs of a slot and its value")

    def to_json(self, value: Any) -> Any:
        return [list(pair) for pair in value]

    def from_json(self, value: Any) -> Any:
        return tuple((str(name), str(text)) for name, text in value)

    def schema(self) -> dict[str, Any]:
        pair = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
        return {"type": "array", "items": pair}


def _pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE` -> (key, value)."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise PromptError(f"--set {text!r} is not of the form KEY=VALUE")
    return key.strip(), value.strip()


def _on(text: str) -> bool:
    """`on`, `yes`, `true`, `1` and their contraries."""
    said = text.strip().lower()
    if said in ("on", "yes", "true", "1"):
        return True
    if said in ("off", "no", "false", "0", ""):
        return False
    raise ValueError(f"{text!r} is neither on nor off")
