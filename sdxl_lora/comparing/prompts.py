"""The rows of a comparison: prompts every system gets, word for word, each with a key that names its picture.

Knows nothing of systems.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdxl_lora.errors import DataError
from sdxl_lora.evaluation.pairing import read_captions
from sdxl_lora.request import GenerationRequest

MOST_ROWS = 50  # more cannot be voted on, nor drawn as one picture


@dataclass(frozen=True, kw_only=True)
class Row:
    """One prompt."""

    key: str  # names its pictures: letters, digits, dots, - and _
    prompt: str
    facts: Mapping[str, str] = field(default_factory=dict)  # "brand": what OCR looks for

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"key": self.key, "prompt": self.prompt, "facts": dict(self.facts)}


# The five prompts of the original project's figure, which sets SDXL beside DALL-E 3 and Imagen 3.
EXAMPLES = (
    Row(
        key="sweatshirt",
        prompt="Full body, person wearing a beige oversized sweatshirt, white trousers, and clean sneakers, "
        "standing in front of neutral wall, styled like Uniqlo or COS ad",
    ),
    Row(
        key="hoodie",
        prompt="A streetwear fashion shoot with a Nike hoodie, urban graffiti background, golden hour "
        "lighting, logo centered and visible, edgy and confident model",
        facts={"brand": "Nike"},
    ),
    Row(
        key="leggings",
        prompt="A solo yoga session in a forest, person wearing Alo Yoga gear, serene expression, misty "
        "morning light, brand logo placed on leggings",
        facts={"brand": "Alo"},
    ),
    Row(
        key="coat",
        prompt="A confident woman in a Moncler coat on a foggy city bridge, luxury streetwear style, logo "
        "prominent on chest, clean composition",
        facts={"brand": "Moncler"},
    ),
    Row(
        key="outdoor",
        prompt="Dog trainer working with golden retrievers in Columbia Sportswear gear, natural setting, "
        "logo on sleeve, warm smiling expression",
        facts={"brand": "Columbia"},
    ),
)


def of_lines(text: str) -> tuple[Row, ...]:
    """One row per line that is not blank, with the keys 01, 02 ... Raises `DataError`, `PromptError`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines == [row.prompt for row in EXAMPLES]:
        return EXAMPLES  # with what is known of them
    return checked(tuple(Row(key=f"{i:02}", prompt=line) for i, line in enumerate(lines, start=1)))


def read(path: Path) -> tuple[Row, ...]:
    """Rows of a captions file (`evaluation.pairing.read_captions`); of a text file, one per line."""
    if path.suffix.lower() == ".txt":
        return of_lines("\n".join(row["caption"] for row in read_captions(path).values()))
    rows = []
    for name, values in read_captions(path).items():
        facts = {key: value for key, value in values.items() if key != "caption"}
        rows.append(Row(key=name, prompt=values["caption"], facts=facts))
    return checked(tuple(rows))


def checked(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The same rows. Raises `DataError` for none, too many or unusable keys, `PromptError` for a bad prompt."""
    if not 1 <= len(rows) <= MOST_ROWS:
        raise DataError(f"{len(rows)} prompts: a comparison has 1 to {MOST_ROWS}")
    for row in rows:
        if not re.fullmatch(r"[\w-][\w.-]{0,79}", row.key):
            raise DataError(f"{row.key!r} cannot name a picture; use up to 80 letters, digits, dots, - and _")
        GenerationRequest(prompt=row.prompt)  # its own checks
    return rows
