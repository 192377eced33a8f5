"""What an SVG from anybody may hold before it is drawn: shapes, gradients and styles of its own, and nothing else.

Refused in one line each: scripts, entities, external references, embedded pictures (a bitmap is not exact), live text
(it would be drawn with whatever fonts this machine has), too many or too deeply nested elements. What is left can
still take endless time or memory (nested `use`, filters); `raster` therefore draws it in a child process with limits.
"""

import re
from typing import Final
from xml.parsers import expat

from sdxl_lora.errors import LogoError

MAX_BYTES: Final = 2_000_000
MAX_ELEMENTS: Final = 20_000
MAX_DEPTH: Final = 64
_SVG: Final = "http://www.w3.org/2000/svg"
_SEPARATOR: Final = " "  # between namespace and name, as expat gives them
_OUTLINES: Final = "convert text to outlines (paths) and save it again"
_FORBIDDEN: Final = {
    "script": "holds a script; save it as a plain SVG",
    "foreignObject": "holds a web page (foreignObject); save it as a plain SVG",
    "image": "holds an embedded or linked picture; trace it to paths, or give that picture as a PNG with alpha",
    "feImage": "loads a picture into a filter; save it without",
    "text": f"holds live text, which every machine draws with other fonts; {_OUTLINES}",
}
_REFERENCES: Final = ("href", "src")
_URL: Final = re.compile(r"url\s*\(\s*['\"]?\s*(?!#)[^)\s]", re.IGNORECASE)
_IMPORT: Final = re.compile(r"@import", re.IGNORECASE)
_EXTERNAL: Final = "refers to something outside itself ({what}); embed nothing and link nothing"


def checked(data: bytes, name: str) -> str:
    """The SVG's text, which holds nothing that is forbidden. Raises `LogoError` naming `name`."""
    if len(data) > MAX_BYTES:
        raise LogoError(
            f"{name} has {len(data):,} bytes; a logo has at most {MAX_BYTES:,}: simplify its paths"
        )
    if data[:2] == b"\x1f\x8b":
        raise LogoError(f"{name} is a compressed SVG (svgz); unpack it first")
    text = _decoded(data, name)
    _Check(name).run(text)
    return text


def _decoded(data: bytes, name: str) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise LogoError(f"{name} is no SVG in UTF-8; save it again as a plain SVG") from None


class _Check:
    """Goes through the text once, with the standard library's own parser, which resolves and loads nothing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._depth = 0
        self._elements = 0
        self._in_style = False

    def run(self, text: str) -> None:
        parser = expat.ParserCreate(encoding="utf-8", namespace_separator=_SEPARATOR)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._entity
        parser.ProcessingInstructionHandler = self._instruction
        parser.buffer_text = True  # a style in one piece
        try:
            parser.Parse(text.encode(), True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code) or "it is damaged"
            raise self._wrong(f"is no SVG that can be read ({reason}, line {error.lineno})") from None

    def _wrong(self, what: str) -> LogoError:
        return LogoError(f"{self._name} {what}")

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        namespace, _, element = qualified.rpartition(_SEPARATOR)
        self._depth += 1
        self._elements += 1
        if self._elements == 1 and (element != "svg" or namespace != _SVG):
            raise self._wrong("is no SVG: its first element is not <svg> of the SVG namespace")
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"nests elements more than {MAX_DEPTH} deep; simplify it")
        if self._elements > MAX_ELEMENTS:
            raise self._wrong(f"has more than {MAX_ELEMENTS:,} elements; simplify it")
        if element in _FORBIDDEN and namespace in ("", _SVG):
            raise self._wrong(_FORBIDDEN[element])
        for attribute, value in attributes.items():
            self._attribute(attribute.rpartition(_SEPARATOR)[2], value)
        self._in_style = element == "style"

    def _attribute(self, name: str, value: str) -> None:
        if name.lower().startswith("on"):
            raise self._wrong(f"holds a script ({name}=...); save it as a plain SVG")
        if name in _REFERENCES and not value.strip().startswith("#"):
            raise self._wrong(_EXTERNAL.format(what=_short(value)))
        self._style(value)

    def _style(self, value: str) -> None:
        if _IMPORT.search(value) or (_URL.search(value)):
            raise self._wrong(_EXTERNAL.format(what=_short(value)))

    def _end(self, _: str) -> None:
        self._depth -= 1
        self._in_style = False

    def _characters(self, text: str) -> None:
        if self._in_style:
            self._style(text)

    def _entity(self, entity: str, *_: object) -> None:
        raise self._wrong(f"declares an entity (&{_short(entity)};); save it as a plain SVG")

    def _instruction(self, target: str, _: str) -> None:
        if target == "xml-stylesheet":
            raise self._wrong(_EXTERNAL.format(what="a style sheet"))


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 40 else words[:39] + "…"
