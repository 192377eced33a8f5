"""The checklist: every rule of a preset against a picture, with what was measured and what is wanted."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sdxl_lora.export.picture import Picture
from sdxl_lora.export.presets import Preset, Rule

State = Literal["ok", "warning", "fail"]
STATES: tuple[State, ...] = ("ok", "warning", "fail")  # from good to bad

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.[A-Za-z0-9]+")
_ASPECT_SLACK = 0.01  # what rounding to whole pixels makes of an aspect
_SUFFIXES = {"JPEG": ("jpg", "jpeg"), "TIFF": ("tif", "tiff")}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one rule."""

    check: str
    state: State
    text: str  # "background 254, wants 255"
    mendable: bool  # whether `mend` can put it right
    rule: Rule

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**vars(self), "rule": self.rule.to_dict()}


@dataclass(frozen=True)
class _Measured:
    good: bool
    text: str
    mendable: bool = True


def check(picture: Picture, preset: Preset) -> tuple[Finding, ...]:
    """A finding for every rule, in the preset's order; of two rules of one measure the stricter speaks if it is met."""
    return tuple(_finding(picture, rule) for rule in preset.rules)


def worst(findings: Iterable[Finding]) -> State:
    """The worst state among them; "ok" for none."""
    return max((found.state for found in findings), key=STATES.index, default="ok")


def file_suffix(format: str) -> str:
    """`jpg` for JPEG, `png` for PNG."""
    return _SUFFIXES.get(format, (format.lower(),))[0]


def _finding(picture: Picture, rule: Rule) -> Finding:
    measured = CHECKS[rule.check](picture, rule)
    broken: State = "fail" if rule.level == "required" else "warning"
    return Finding(
        check=rule.check,
        state="ok" if measured.good else broken,
        text=measured.text,
        mendable=measured.mendable and not measured.good,
        rule=rule,
    )


def _format(picture: Picture, rule: Rule) -> _Measured:
    return _Measured(picture.format in rule.of, f"format {picture.format}, wants {' or '.join(rule.of)}")


def _longest(picture: Picture, rule: Rule) -> _Measured:
    return _side(max(picture.image.size), "longer side", rule)


def _shortest(picture: Picture, rule: Rule) -> _Measured:
    return _side(min(picture.image.size), "shorter side", rule)


def _side(pixels: int, name: str, rule: Rule) -> _Measured:
    return _Measured(_within(pixels, rule), f"{name} {pixels:,} px, wants {wanted(rule)}")


def _megapixels(picture: Picture, rule: Rule) -> _Measured:
    value = picture.image.width * picture.image.height / 1e6
    return _Measured(_within(value, rule), f"{value:.1f} megapixels, wants {wanted(rule)}")


def _bytes(picture: Picture, rule: Rule) -> _Measured:
    size = len(picture.data)
    return _Measured(_within(size, rule), f"{_megabytes(size)}, wants {wanted(rule)}")


def _aspect(picture: Picture, rule: Rule) -> _Measured:
    value = picture.image.width / picture.image.height
    good = _within(value, rule, slack=_ASPECT_SLACK)
    size = f"{picture.image.width} x {picture.image.height} px"
    return _Measured(good, f"{size} ({value:.2f}), wants {wanted(rule)}")


def _background(picture: Picture, rule: Rule) -> _Measured:
    layout = picture.layout
    if not layout.plain:
        return _Measured(False, f"a scene behind the product, wants white ({wanted(rule)})")
    return _Measured(_within(layout.value, rule), f"background {layout.value}, wants {wanted(rule)}")


def _fill(picture: Picture, rule: Rule) -> _Measured:
    layout = picture.layout
    if not layout.plain:
        text = f"how much the product fills cannot be told before a scene, wants {wanted(rule)}"
        return _Measured(False, text)
    good = _within(round(layout.fill, 2), rule)
    return _Measured(good, f"the product fills {layout.fill:.0%}, wants {wanted(rule)}")


def _opaque(picture: Picture, rule: Rule) -> _Measured:
    solid = picture.image.mode != "RGBA" or picture.image.getchannel("A").getextrema()[0] == 255
    return _Measured(solid, "nothing is see-through" if solid else "parts are see-through, wants none")


def _name(picture: Picture, rule: Rule) -> _Measured:
    suffixes = _SUFFIXES.get(picture.format, (picture.format.lower(),))
    good = bool(_NAME.fullmatch(picture.name)) and picture.name.rpartition(".")[2].lower() in suffixes
    wanted = f"letters, digits, . _ - and .{suffixes[0]}"
    return _Measured(good, f"file name {picture.name}, wants {wanted}")


def _mark(picture: Picture, rule: Rule) -> _Measured:
    if picture.origin in ("unknown", "finished"):
        return _Measured(True, "nothing says that a model made it, so no mark is needed")
    good = picture.marked
    return _Measured(good, "marked as generated (IPTC)" if good else "made by a model, wants the IPTC mark")


def _photo(picture: Picture, rule: Rule) -> _Measured:
    if picture.origin == "model":
        text = "made from words: a concept, or a picture for ads and further views; wants a photo of the item"
        return _Measured(False, text, mendable=False)
    edited = " (edited by a model: compare it with the item)" if picture.origin == "edited" else ""
    return _Measured(True, f"nothing says that it is no photo of the item{edited}")


def _within(value: float, rule: Rule, slack: float = 0.0) -> bool:
    low = rule.least is None or value >= rule.least - slack
    return low and (rule.most is None or value <= rule.most + slack)


def wanted(rule: Rule) -> str:
    """The limits of a rule with their unit; "" where it has none."""
    least, most = (None if one is None else _LIMITS[rule.check](one) for one in (rule.least, rule.most))
    if rule.check == "aspect" and rule.least == rule.most == 1:
        return "a square"
    of = "width to height " if rule.check == "aspect" else ""
    if least is None:
        return "" if most is None else f"{of}at most {most}"
    if most is None:
        return f"{of}at least {least}" if rule.check != "background" or rule.least != 255 else least
    return of + (least if least == most else f"{least} to {most}")


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"


_LIMITS: dict[str, Callable[[float], str]] = {  # of checks that have some
    "longest_side": "{:,.0f} px".format,
    "shortest_side": "{:,.0f} px".format,
    "megapixels": "{:g}".format,
    "bytes": _megabytes,
    "aspect": "{:.2f}".format,
    "background": "{:.0f}".format,
    "fill": "{:.0%}".format,
}
CHECKS: dict[str, Callable[[Picture, Rule], _Measured]] = {
    "format": _format,
    "longest_side": _longest,
    "shortest_side": _shortest,
    "megapixels": _megapixels,
    "bytes": _bytes,
    "aspect": _aspect,
    "background": _background,
    "fill": _fill,
    "opaque": _opaque,
    "name": _name,
    "mark": _mark,
    "photo": _photo,
}
