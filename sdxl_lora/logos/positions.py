"""The named positions of a logo, as people and requests say them; `placing` finds them on a garment."""

from dataclasses import dataclass
from typing import Final

from sdxl_lora.errors import UnknownNameError
from sdxl_lora.request.logo_spec import EXPECTED, FREE


@dataclass(frozen=True, kw_only=True)
class Position:
    """A place that most garments of a kind have."""

    label: str  # for people
    width: float  # usual width of a logo there, as a share of the part's width
    height: float  # at most so high, in the same unit


POSITIONS: Final[dict[str, Position]] = {
    "chest": Position(label="Chest", width=0.55, height=0.45),
    "left-chest": Position(label="Left chest", width=0.22, height=0.2),
    "right-chest": Position(label="Right chest", width=0.22, height=0.2),
    "back": Position(label="Back, of a picture from behind", width=0.65, height=0.6),
    "left-sleeve": Position(label="Left sleeve", width=0.62, height=0.8),
    "right-sleeve": Position(label="Right sleeve", width=0.62, height=0.8),
    "left-thigh": Position(label="Left thigh", width=0.5, height=0.5),
    "right-thigh": Position(label="Right thigh", width=0.5, height=0.5),
    "hem": Position(label="Hem", width=0.24, height=0.2),
    "front": Position(label="Front, of a cap, bag or skirt", width=0.62, height=0.62),
    "side": Position(label="Side, of a shoe", width=0.5, height=0.5),
}


def check_name(name: str) -> None:
    """Raises `UnknownNameError` for what is neither a named position nor another way to say where."""
    if name not in (*POSITIONS, FREE, EXPECTED):
        raise UnknownNameError("position of a logo", name, POSITIONS)
