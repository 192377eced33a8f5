"""One brand, as a frozen value that is JSON both ways; the files of its logos lie beside it, see `kits`."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from sdxl_lora.errors import InputError
from sdxl_lora.logos import positions
from sdxl_lora.request import LogoSpec, LoraSpec

MAX_NAME: Final = 80  # characters
MAX_ENTRIES: Final = 64  # of a list
_HEX: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,80}\.(?:svg|png)")
_NO_HASH: Final = "0" * 64


class BrandError(InputError):
    """A brand kit that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Swatch:
    """A colour of the brand."""

    name: str  # the word that requests use
    hex: str  # #RRGGBB, sRGB


@dataclass(frozen=True, kw_only=True)
class KitLogo:
    """A logo of the brand, and where it usually goes."""

    file: str  # in the kit's folder
    at: str = "chest"  # as `--at`; "expected" = pictures must show it by themselves; "" = only kept


@dataclass(frozen=True, kw_only=True)
class BrandKit:
    """Everything that is said of a brand. Raises `BrandError` for what cannot be one."""

    name: str
    palette: tuple[Swatch, ...] = ()
    logos: tuple[KitLogo, ...] = ()
    words: tuple[str, ...] = ()  # added to every request
    avoid: tuple[str, ...] = ()  # added to what every request avoids
    backgrounds: tuple[str, ...] = ()  # that pictures may have
    lora: str = ""  # file, folder or hub id; "" = none
    lora_weight: float = 1.0

    def __post_init__(self) -> None:
        _text("the name of a brand", self.name, MAX_NAME)
        for what, entries in (
            ("words", self.words),
            ("avoided words", self.avoid),
            ("backgrounds", self.backgrounds),
        ):
            _short_list(what, entries)
            for entry in entries:
                _text(f"an entry of the {what} of {self.name}", entry, 200)
        _short_list("palette", self.palette)
        for swatch in self.palette:
            _text("the name of a colour", swatch.name, MAX_NAME)
            if not isinstance(swatch.hex, str) or not _HEX.fullmatch(swatch.hex):
                raise BrandError(f"{swatch.name} is {swatch.hex!r}, no colour; write it as #1F2A44")
        _short_list("logos", self.logos)
        for logo in self.logos:
            if not isinstance(logo.file, str) or not _FILE.fullmatch(logo.file):
                raise BrandError(f"a logo's file {logo.file!r:.90} is no name of an SVG or PNG")
            if logo.at:
                positions.check_name(LogoSpec.parse(logo.at, hash=_NO_HASH).at)
        if not isinstance(self.lora, str):
            raise BrandError(f"the LoRA {self.lora!r} is no text")
        LoraSpec(path=self.lora, weight=self.lora_weight)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal kit back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Inverse of `to_dict`. Raises `InputError`."""
        if not isinstance(values, dict) or set(values) - {field.name for field in fields(cls)}:
            raise BrandError("this is no brand kit: its fields are unknown")
        try:
            given = dict(values)
            given["palette"] = tuple(Swatch(**entry) for entry in given.get("palette", ()))
            given["logos"] = tuple(KitLogo(**entry) for entry in given.get("logos", ()))
            for name in ("words", "avoid", "backgrounds"):
                given[name] = tuple(given.get(name, ()))
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise BrandError(f"this is no brand kit: {error}") from error


def _text(what: str, value: Any, longest: int) -> None:
    if not isinstance(value, str) or not value.strip():
        raise BrandError(f"{what} is missing; say it in a few words")
    if len(value) > longest or not value.isprintable():
        raise BrandError(f"{what} is longer than {longest} characters, or not printable; shorten it")


def _short_list(what: str, entries: Sequence[Any]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise BrandError(f"the {what} have {len(entries)} entries; the most is {MAX_ENTRIES}")
