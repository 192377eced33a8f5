"""From rows to what is asked for: one item per picture, with its seed, its file's name and its text for the blind.

What is wrong with a row is said of that row, and the others go on. A plan is JSON and is kept with its run: templates
may be edited, and this program updated, before the run goes on.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

from sdxl_lora import export, prompts
from sdxl_lora.brands import applying, kits
from sdxl_lora.brands.kit import BrandKit
from sdxl_lora.catalog.alt_text import alt_text
from sdxl_lora.catalog.columns import IGNORED, OWN, REQUEST, Meaning, choose
from sdxl_lora.catalog.names import Names
from sdxl_lora.catalog.photos import Photos
from sdxl_lora.catalog.tables import Row, Table
from sdxl_lora.errors import DataError, InputError, PromptError, RequestError
from sdxl_lora.jobs.spec import Effort
from sdxl_lora.prompts import translation
from sdxl_lora.request import FIELDS, GenerationRequest, expansion

_NONE = "-"  # in a cell: nothing, although the template has something there
MOST_OF_ROW = 2_000  # pictures
MOST_PICTURES = 50_000
_KINDS = {one.name: one.kind for one in FIELDS}
_LABELS = ("brand", "sku")  # fields that make no other picture


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for all rows, where a row says nothing else."""

    template: str = ""
    prompt: str = ""  # words after those of the template
    columns: Mapping[str, str] = field(
        default_factory=dict
    )  # column -> target, where its name does not say it
    values: Mapping[str, str] = field(
        default_factory=dict
    )  # slot or target -> text; `{a|b}` makes combinations
    request: Mapping[str, Any] = field(default_factory=dict)  # request field -> value, as its flag reads it
    level: str = ""
    min_score: float | None = None
    max_attempts: int | None = None
    presets: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""

    def __post_init__(self) -> None:
        for name in self.presets:
            export.preset(name)
        if self.template:
            prompts.get(self.template)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives equal settings back."""
        values = {name: _KINDS[name].to_json(value) for name, value in self.request.items()}
        return {**asdict(self), "request": values, "presets": list(self.presets)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `InputError` on what is none."""
        known = {one.name for one in fields(cls)}
        try:
            given = {name: value for name, value in values.items() if name in known}
            request = {n: _KINDS[n].from_json(value) for n, value in dict(given.get("request") or {}).items()}
            return cls(**{**given, "request": request, "presets": tuple(given.get("presets") or ())})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"these are no settings of a catalogue: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture of a catalogue."""

    row: int
    sku: str
    name: str  # of its file, without suffix
    request: GenerationRequest  # of one picture; its seed is decided, unless this is only a look ahead
    effort: Effort
    presets: tuple[str, ...]
    alt: str

    @cached_property
    def key(self) -> str:
        """Who this is: the same words, seed and name are the same item, in whatever row they stand.

        Only what differs from its default counts, so that a later version's new fields make nobody another one.
        """
        plain = GenerationRequest(prompt="-").to_dict()
        said = self.request.to_dict().items()
        request = {name: value for name, value in said if value != plain[name] and name not in _LABELS}
        return hashlib.sha256(
            json.dumps([self.sku, self.name, request, asdict(self.effort)], sort_keys=True).encode()
        ).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal item back."""
        return {**asdict(self), "request": self.request.to_dict(), "effort": asdict(self.effort)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `InputError`, `TypeError`, `KeyError` on what is none."""
        request = GenerationRequest.from_dict(values["request"])
        effort, presets = Effort(**values["effort"]), tuple(values["presets"])
        return cls(**{**values, "request": request, "effort": effort, "presets": presets})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a table asks for."""

    meaning: Meaning
    items: tuple[Item, ...]
    problems: Mapping[int, str]  # row -> why it cannot be drawn, one line
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal plan back."""
        return {
            "meaning": {"targets": dict(self.meaning.targets), "unused": list(self.meaning.unused)},
            "items": [item.to_dict() for item in self.items],
            "problems": {str(row): problem for row, problem in self.problems.items()},
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `DataError` on what is no plan."""
        try:
            meaning = values["meaning"]
            return cls(
                meaning=Meaning(targets=dict(meaning["targets"]), unused=tuple(meaning["unused"])),
                items=tuple(Item.from_dict(item) for item in values["items"]),
                problems={int(row): str(problem) for row, problem in values["problems"].items()},
                notes=tuple(values["notes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"this is no plan of a catalogue: {error}") from error


def plan(
    table: Table, settings: Settings, *, salt: str | None = None, photos: Callable[[str], str] | None = None
) -> Plan:
    """What the rows ask for.

    Args:
        salt: of the seeds that no row gives; another one, other pictures. None = they stay open: the catalogue that is
            made of this plan decides them.
        photos: name in a cell -> hash of the input picture, see `photos.Photos`; None = there are none.

    Raises `InputError` for what is wrong with all rows: columns, settings, too many pictures.
    """
    return _Planner(table, settings, salt, photos or Photos()).plan()


class _Planner:
    def __init__(
        self, table: Table, settings: Settings, salt: str | None, photos: Callable[[str], str]
    ) -> None:
        self.table = table
        self.settings = settings
        self.salt = salt
        self.photos = photos
        self.meaning = choose(table.columns, settings.columns)
        self.kits: dict[str, BrandKit] = {}
        self.names = Names()
        self.seen: dict[tuple[str, str], int] = {}
        self.notes: dict[str, None] = dict.fromkeys(table.notes)

    def plan(self) -> Plan:
        items: list[Item] = []
        problems: dict[int, str] = {}
        if self.meaning.unused:
            self.notes[f"not used: {', '.join(self.meaning.unused)}"] = None
        if "sku" not in self.meaning.targets.values():
            self.notes["no column has the products' numbers (sku), so files are named after their rows"] = (
                None
            )
        for row in self.table.rows:
            try:
                items += self._items(row)
            except InputError as error:
                problems[row.number] = str(error)
            if len(items) > MOST_PICTURES:
                raise DataError(f"these rows stand for more than {MOST_PICTURES:,} pictures; split the table")
        return Plan(meaning=self.meaning, items=tuple(items), problems=problems, notes=tuple(self.notes))

    def _items(self, row: Row) -> list[Item]:
        """Raises `InputError`."""
        if row.problem:
            raise DataError(row.problem)
        said = self._said(row)
        sku, name = said.pop("sku", "") or f"row-{row.number:04}", said.pop("name", "")
        first = self.seen.setdefault((sku.casefold(), name.casefold()), row.number)
        if first != row.number:
            both = f"{sku!r} with the name {name!r}" if name else f"the number {sku!r}"
            raise DataError(f"row {first} has {both}, too; give each row its own, or a column called name")
        effort, presets, alt = self._effort(said), self._presets(said), said.pop("alt", "")
        kit = self._kit(said.pop("brand_kit", ""))
        request = self._request(said, (sku, name), kit)
        variants = expansion.expand(request)
        if variants.count * request.count > MOST_OF_ROW:
            raise PromptError(
                f"it stands for {variants.count:,} prompts, {variants.count * request.count:,} pictures;"
                f" the most of one row is {MOST_OF_ROW:,}"
            )
        requests = [self._branded(one, kit) for one in variants]
        items = []
        for place, (one, parts) in enumerate(zip(requests, _differing(requests), strict=True)):
            decided = replace(one, seed=self._seed(one, sku, name, place), sku=sku)
            for index in range(request.count):
                count = (str(index + 1),) if request.count > 1 else ()
                items.append(
                    Item(
                        row=row.number,
                        sku=sku,
                        name=self.names.take(sku, name, *parts, *count),
                        request=replace(decided, count=1)
                        if decided.seed is None
                        else decided.for_picture(index),
                        effort=effort,
                        presets=presets,
                        alt=alt or alt_text(one),
                    )
                )
        return items

    def _said(self, row: Row) -> dict[str, str]:
        """Target -> text: what the row says, else what holds for all."""
        cells = {
            self.meaning.targets.get(column, IGNORED): text for column, text in row.cells.items() if text
        }
        cells.pop(IGNORED, None)
        return {**self.settings.values, **cells}

    def _effort(self, said: dict[str, str]) -> Effort:
        settings = self.settings
        level, score, attempts = (said.pop(name, "") for name in ("level", "min_score", "max_attempts"))
        try:
            return Effort(
                level=level.lower() or settings.level,
                min_score=float(score) if score else settings.min_score,
                max_attempts=int(attempts) if attempts else settings.max_attempts,
            )
        except ValueError:
            raise RequestError(f"{score or attempts!r} is no number for min_score or max_attempts") from None

    def _presets(self, said: dict[str, str]) -> tuple[str, ...]:
        given = [name.strip().lower() for name in said.pop("preset", "").split(",") if name.strip()]
        for name in given:
            export.preset(name)
        return tuple(dict.fromkeys(given)) or self.settings.presets

    def _kit(self, name: str) -> BrandKit | None:
        """The brand kit of a row. Raises `InputError` where there is none of that name."""
        if name in ("", _NONE):
            return None
        if name not in self.kits:
            self.kits[name] = kits.get(name)
        return self.kits[name]

    def _branded(self, request: GenerationRequest, kit: BrandKit | None) -> GenerationRequest:
        """The request with its kit: LoRA, words, words to avoid, logos, and the very colour that the palette has."""
        if kit is None:
            return request
        colour = dict(request.slots).get("colour", "")
        palette = {_english(swatch.name): swatch.hex for swatch in kit.palette}
        if palette and colour and _english(colour) not in palette:
            self.notes[f"{colour} is not in the palette of {kit.name}, and is drawn as a word"] = None
        exact = request.recolour or palette.get(_english(colour), "")
        return applying.applied(kit, replace(request, recolour=exact))

    def _request(self, said: dict[str, str], who: tuple[str, str], kit: BrandKit | None) -> GenerationRequest:
        """The wish of a row; choices in it are not expanded yet."""
        values: dict[str, Any] = dict(self.settings.request)
        name, words = said.pop("template", "") or self.settings.template, said.pop("prompt", "")
        template = prompts.get(name) if name else None
        own = {slot.name for slot in template.slots} if template else set()
        for field_name in REQUEST:  # a slot of that name is meant, where the template has one
            if field_name not in own and (text := said.pop(field_name, "")):
                values[field_name] = _value(field_name, text)
        words = ", ".join(filter(None, [words, self.settings.prompt]))
        if photo := said.pop("photo", ""):
            values["start_picture"] = self.photos(photo)
            values.setdefault(
                "strength", 0.0
            )  # the photo itself, finished: a product is never invented unasked
            words = words or (f"product photo of {who[0]}" if template is None else "")
        slots = {slot: "" if text == _NONE else text for slot, text in said.items() if slot not in OWN}
        if template is None:
            if slots:
                raise PromptError(
                    f"{', '.join(slots)}: these fill a template; choose one, or map them to {IGNORED}"
                )
            return GenerationRequest(prompt=words, **values)
        if kit is not None and "brand" in own:
            slots.setdefault("brand", kit.name)
        for slot, english in translation.of_fields(slots).items():
            self.notes[f"{slot}: {slots[slot]} → {english}"] = None
            slots[slot] = english
        complete = template.complete(slots)
        filled = prompts.fill(template, complete)
        negative = values.pop("negative_prompt", None)
        return GenerationRequest(
            prompt=f"{filled}, {words}" if words else filled,
            negative_prompt=template.negative if negative is None else negative,
            template=name,
            slots=tuple(complete.items()),
            **values,
        )

    def _seed(self, request: GenerationRequest, sku: str, name: str, place: int) -> int | None:
        """As given; else one that the product keeps, whatever becomes of its words. None where nobody decides it."""
        if request.seed is not None or self.salt is None:
            return request.seed
        said = json.dumps([self.salt, sku, name, place])
        return int.from_bytes(hashlib.sha256(said.encode()).digest()[:4])


def _differing(requests: list[GenerationRequest]) -> list[tuple[str, ...]]:
    """What each combination of a row is named after: the slots in which they differ, a number where only words do."""
    if len(requests) == 1:
        return [()]
    slots = [dict(one.slots) for one in requests]
    vary = [slot for slot in slots[0] if len({one.get(slot, "") for one in slots}) > 1]
    named = [tuple(one.get(slot, "") for slot in vary) for one in slots]
    often = Counter(named)
    return [parts if often[parts] == 1 else (*parts, str(place + 1)) for place, parts in enumerate(named)]


def _english(colour: str) -> str:
    """A colour's name as the template's slot has it, in small letters."""
    return translation.of_fields({"colour": colour}).get("colour", colour).casefold()


def _value(name: str, text: str) -> Any:
    """A cell as a request field's value. Raises `RequestError`."""
    kind = _KINDS[name]
    try:
        if kind.repeatable:
            return tuple(kind.parse(part.strip()) for part in text.split(";") if part.strip())
        value = kind.parse(text)
        kind.check(name.replace("_", " "), value)
        return value
    except ValueError:
        raise RequestError(f"{name} {text[:80]!r} is no number") from None
