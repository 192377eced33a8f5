"""The templates there are: those of this package, then the user's own under `home()/templates`, which win.

One YAML file is one template, named like the file:

    title: Jacket
    category: outerwear
    style: catalogue
    pattern: "outer, {brand} {product:title}, a photography of {a} {product}"
    negative: blurry
    slots:
      brand: {label: Brand, optional: true}
      product: {label: Product, default: jacket, suggestions: [jacket, coat]}   # or the name of a word list

A broken file hides no other template: `problems` names it, and `get` raises its error.
"""

import functools
import re
from pathlib import Path
from typing import Any

import yaml

from sdxl_lora.config import home
from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.prompts.template import Slot, Template
from sdxl_lora.prompts.vocabulary import WORDS

BUNDLED = Path(__file__).parent / "templates"
MAX_FILE_BYTES = 64 * 1024

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TEXTS = ("title", "category", "style", "pattern")
_KEYS = {*_TEXTS, "negative", "slots"}
_SLOT_KEYS = {"label", "default", "suggestions", "optional"}


def templates() -> dict[str, Template]:
    """Every usable template by name, sorted by category and name; changed files are read again."""
    found, _ = _read_all()
    return dict(sorted(found.items(), key=lambda item: (item[1].category, item[0])))


def problems() -> dict[str, PromptError]:
    """Template name -> what is wrong with its file, one line each."""
    return _read_all()[1]


def get(name: str) -> Template:
    """The template of that name.

    Raises `UnknownNameError`, naming the nearest, or `PromptError` if its file is broken.
    """
    found, broken = _read_all()
    if name in broken:
        raise broken[name]
    if name not in found:
        raise UnknownNameError("template", name, found)
    return found[name]


def load(path: Path) -> Template:
    """The template in one YAML file. Raises `PromptError` naming file, line and what is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"template {path} cannot be read: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise PromptError(f"template {path} is larger than {MAX_FILE_BYTES // 1024} KB")
    if not NAME.fullmatch(path.stem):
        raise PromptError(f"template {path}: name the file with small letters, digits and hyphens only")
    return _Reader(path, text).template()


@functools.lru_cache(maxsize=256)
def _load(path: Path, _modified: int) -> Template:
    """`load`, once per version of the file: reading YAML takes milliseconds, and pages ask all the time."""
    return load(path)


def _read_all() -> tuple[dict[str, Template], dict[str, PromptError]]:
    found: dict[str, Template] = {}
    broken: dict[str, PromptError] = {}
    for folder in (BUNDLED, home() / "templates"):
        for path in sorted(folder.glob("*.yaml")):
            try:
                found[path.stem] = _load(path, path.stat().st_mtime_ns)
            except FileNotFoundError:  # deleted just now, or a link to nowhere
                continue
            except PromptError as error:
                found.pop(path.stem, None)  # not the bundled one of that name: the user means his own
                broken[path.stem] = error
    return found, broken


class _Reader:
    """Turns one YAML text into a template; every error names the line it is on."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        try:
            self.root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.values: Any = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._error(mark.line if mark else 0, error.problem or "not valid YAML") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise self._error(0, "not valid YAML") from error

    def template(self) -> Template:
        values = self._mapping(self.values, self.root, "the template", _KEYS)
        for key in _TEXTS:
            if key not in values:
                raise self._error(0, f"{key!r} is missing")
        texts = {key: self._text(values[key], key, self._node(self.root, key)) for key in _TEXTS}
        negative = self._text(values.get("negative", ""), "negative", self._node(self.root, "negative"))
        slots = tuple(self._slots(values.get("slots") or {}, self._node(self.root, "slots")))
        try:
            return Template(name=self.path.stem, negative=negative, slots=slots, **texts)
        except PromptError as error:
            raise self._error(self._line(self._node(self.root, "pattern")), str(error)) from error

    def _slots(self, values: Any, node: Any) -> list[Slot]:
        slots = []
        for name, given in self._mapping(values, node, "slots", None).items():
            here = self._node(node, name)
            options = self._mapping(given, here, f"slot {name!r}", _SLOT_KEYS)
            optional = options.get("optional", False)
            if not isinstance(optional, bool):
                raise self._error(self._line(here), f"'optional' of slot {name!r} must be true or false")
            slots.append(
                Slot(
                    name=name,
                    label=self._text(options.get("label", name.capitalize()), "label", here),
                    default=self._text(options.get("default", ""), "default", here),
                    suggestions=self._suggestions(options.get("suggestions", []), here),
                    optional=optional,
                )
            )
        return slots

    def _suggestions(self, given: Any, node: Any) -> tuple[str, ...]:
        if isinstance(given, str):
            if given not in WORDS:
                raise self._error(self._line(node), str(UnknownNameError("word list", given, WORDS)))
            return WORDS[given]
        if not isinstance(given, list):
            raise self._error(self._line(node), "'suggestions' must be a list or the name of a word list")
        return tuple(self._text(item, "suggestions", node) for item in given)

    def _mapping(self, values: Any, node: Any, what: str, known: set[str] | None) -> dict[str, Any]:
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise self._error(self._line(node), f"{what} must be 'name: value' lines")
        unknown = sorted(set(values) - known) if known is not None else []
        if unknown:
            line = self._line(self._node(node, unknown[0]))
            raise self._error(line, str(UnknownNameError("setting", unknown[0], known or ())))
        return values

    def _text(self, value: Any, key: str, node: Any) -> str:
        if not isinstance(value, str):
            raise self._error(self._line(node), f"{key!r} must be text; put {value!r} in quotation marks")
        return " ".join(value.split())

    def _node(self, parent: Any, key: str) -> Any:
        """The value's node under `key` of a mapping node, for its line; the parent itself if it has none."""
        for name, value in getattr(parent, "value", ()):
            if name.value == key:
                return value
        return parent

    def _line(self, node: Any) -> int:
        return node.start_mark.line if node is not None else 0

    def _error(self, line: int, message: str) -> PromptError:
        return PromptError(f"template {self.path}, line {line + 1}: {message}")
