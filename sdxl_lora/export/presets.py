"""The presets of `presets.toml`, typed: what each shop asks, and what a mend aims at."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from sdxl_lora.errors import UnknownNameError

FILE = Path(__file__).with_name("presets.toml")
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")  # that are written, by Pillow's names

Level = Literal["required", "advice", "disputed"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that is asked of a picture."""

    check: str  # what is measured; a key of `checking.CHECKS`
    level: Level  # "required": a picture that breaks it fails; the others warn
    least: float | None = None
    most: float | None = None
    of: tuple[str, ...] = ()  # what is allowed, by name
    source: str  # the page that says so
    read: date  # when it said so
    note: str = ""  # what else to know

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**vars(self), "of": list(self.of), "read": self.read.isoformat()}


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a mend makes where a rule is broken; None = the preset has no opinion."""

    formats: tuple[str, ...]  # the first one is written
    side: int | None = None  # px, of the longer side
    aspect: float | None = None  # width / height
    background: int | None = None  # 255: pure white
    fill: float | None = None  # share of the frame that the product spans in its larger direction
    quality: int = 92  # of JPEG, WebP and AVIF to begin with, 1 to 100


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What one shop or network asks."""

    name: str
    title: str  # for people
    main: bool  # its picture stands for the product itself
    aim: Aim
    rules: tuple[Rule, ...]
    look: tuple[str, ...]  # to be checked by eye


def presets() -> Mapping[str, Preset]:
    """Every preset by its name, in the order of the file."""
    return _all()


def preset(name: str) -> Preset:
    """The preset of that name. Raises `UnknownNameError`, which names the nearest."""
    known = _all()
    if name not in known:
        raise UnknownNameError("preset", name, known)
    return known[name]


@functools.cache
def _all() -> dict[str, Preset]:
    tables: dict[str, Any] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: _preset(name, table) for name, table in tables.items()}


def _preset(name: str, table: dict[str, Any]) -> Preset:
    aim = {**table["aim"], "formats": tuple(table["aim"]["formats"])}
    rules = tuple(Rule(**{**rule, "of": tuple(rule.get("of", ()))}) for rule in table["rules"])
    return Preset(
        name=name,
        title=table["title"],
        main=table["use"] == "main",
        aim=Aim(**aim),
        rules=rules,
        look=tuple(table["look"]),
    )
