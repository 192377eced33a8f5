"""A whole comparison as one picture: systems and wrapped prompts beside the cells, every cell equally large.

Pictures are fitted into square cells, never cropped or stretched. Letters come from the first of some usual
fonts that is installed, else from Pillow's own, which knows Latin only. Knows nothing of where pictures are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Systems = Literal["across", "down"]
CellOf = Callable[[int, int], Image.Image | str]  # (column, row) -> the picture, or why there is none

CELL = 320  # px, side of a cell
SMALL_CELL = 192  # px, where there are more than MANY rows
MANY = 12
GAP = 14  # px
PAPER, INK, DIM, EMPTY = "#fbf9f5", "#211c17", "#6b6259", "#ede7dc"
_REGULAR = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
_BOLD = ("NotoSans-Bold.ttf", "DejaVuSans-Bold.ttf", "LiberationSans-Bold.ttf", "Arial Bold.ttf")


@dataclass(frozen=True)
class _Layout:
    """Where things are, in px."""

    cell: int
    left: int  # width of what stands left of the cells
    top: int  # height of what stands above them
    size: tuple[int, int]

    def corner(self, across: int, down: int) -> tuple[int, int]:
        """Upper left corner of a cell."""
        step = self.cell + GAP
        return self.left + across * step, self.top + down * step


def draw(
    labels: Sequence[str], prompts: Sequence[str], cell: CellOf, *, systems: Systems = "across"
) -> Image.Image:
    """The picture. `systems="down"`: one line per system, as in the original project's figure."""
    side = CELL if max(len(labels), len(prompts)) <= MANY else SMALL_CELL
    head, text = _font(_BOLD, side // 14), _font(_REGULAR, side // 19)
    if systems == "across":
        above = [_wrapped(label, head, side) for label in labels]
        beside = [_wrapped(prompt, text, side, most=side // (side // 19 + 6)) for prompt in prompts]
        above_font, beside_font = head, text
    else:
        above = [_wrapped(prompt, text, side) for prompt in prompts]
        beside = [_wrapped(label, head, side * 3 // 4) for label in labels]
        above_font, beside_font = text, head
    line = {id(font): round(_size(font) * 1.3) for font in (above_font, beside_font)}
    top = GAP + max(len(lines) for lines in above) * line[id(above_font)] + GAP
    width = max(_width(entry, beside_font) for lines in beside for entry in lines)
    left = GAP + round(width) + 2 * GAP
    size = (left + len(above) * (side + GAP), top + len(beside) * (side + GAP))
    layout = _Layout(side, left, top, size)
    sheet = Image.new("RGB", layout.size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for across, lines in enumerate(above):
        x, _ = layout.corner(across, 0)
        _write(pen, lines, above_font, x, top - GAP // 2 - len(lines) * line[id(above_font)])
    for down, lines in enumerate(beside):
        _, y = layout.corner(0, down)
        middle = y + (side - len(lines) * line[id(beside_font)]) // 2
        _write(pen, lines, beside_font, GAP, max(y, middle))
    for across in range(len(above)):
        for down in range(len(beside)):
            column, row = (across, down) if systems == "across" else (down, across)
            _put(sheet, pen, cell(column, row), layout.corner(across, down), side, text)
    return sheet


def fitted(image: Image.Image, side: int, paper: str = EMPTY) -> Image.Image:
    """The whole picture in the middle of a square of `side` px."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    square = Image.new("RGB", (side, side), paper)
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def _put(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    found: Image.Image | str,
    corner: tuple[int, int],
    side: int,
    font: Font,
) -> None:
    if isinstance(found, Image.Image):
        sheet.paste(fitted(found, side), corner)
        return
    x, y = corner
    pen.rectangle([x, y, x + side - 1, y + side - 1], fill=EMPTY)
    lines = _wrapped(found, font, side - 2 * GAP, most=8)
    _write(pen, lines, font, x + GAP, y + GAP, fill=DIM)


def _write(
    pen: ImageDraw.ImageDraw, lines: Sequence[str], font: Font, x: int, y: int, fill: str = INK
) -> None:
    for number, entry in enumerate(lines):
        pen.text((x, y + number * round(_size(font) * 1.3)), entry, font=font, fill=fill)


def _wrapped(text: str, font: Font, width: float, most: int = 12) -> list[str]:
    """Lines no wider than `width` px; words that are wider are broken; what is more than `most` lines ends in
    an ellipsis.
    """
    lines = [""]
    for word in text.split():
        candidate = f"{lines[-1]} {word}".strip()
        if _width(candidate, font) <= width:
            lines[-1] = candidate
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and _width(lines[-1] + letter, font) > width:
                lines.append("")
            lines[-1] += letter
    if len(lines) > most:
        lines = lines[:most]
        while lines[-1] and _width(lines[-1] + " ...", font) > width:
            lines[-1] = lines[-1][:-1]
        lines[-1] = lines[-1].rstrip() + " ..."
    return lines


@lru_cache(maxsize=16)
def _font(names: tuple[str, ...], size: int) -> Font:
    for name in names:
        try:
            return ImageFont.truetype(name, size)
        except OSError:  # not installed here
            continue
    return ImageFont.load_default(size)


def _width(text: str, font: Font) -> float:
    return font.getlength(text)


def _size(font: Font) -> float:
    return font.size if isinstance(font, ImageFont.FreeTypeFont) else 11
