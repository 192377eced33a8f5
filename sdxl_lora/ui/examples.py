"""The prompts an empty studio offers, each with a small picture that the bundled model drew of it."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from sdxl_lora.ui.shared import escape

_PICTURES = Path(__file__).parents[1] / "assets" / "examples"  # made by images/make.py


@dataclass(frozen=True)
class Example:
    """A prompt to start from; `key` names its picture."""

    key: str
    title: str
    prompt: str

    @property
    def picture(self) -> Path:
        """A JPEG of 256 x 256 px."""
        return _PICTURES / f"{self.key}.jpg"


EXAMPLES = (
    Example(
        "windbreaker",
        "Navy windbreaker, white triangle",
        "outer, Northpeak Windbreaker Navy, a photography of a navy windbreaker jacket"
        " with a white triangle logo on the chest, studio background",
    ),
    Example(
        "t-shirt",
        "Green T-shirt, yellow star",
        "top, Riverline T-Shirt Green, a photography of a green t-shirt"
        " with a yellow star logo in the centre, white background",
    ),
    Example(
        "skirt",
        "Black skirt, white stripes",
        "bottom, Hallmond Track Skirt Black, a photography of a black skirt"
        " with a white stripes logo on the hem, studio background",
    ),
    Example(
        "hoodie",
        "Red hoodie in the city",
        "A male model wearing a red hoodie with a white circle logo on the chest,"
        " standing on an urban street, fashion photography",
    ),
)


def pick(page: str) -> Example | None:
    """The examples side by side; the one whose button was pressed in this run.

    Args:
        page: what the keys of the buttons begin with.
    """
    pressed = None
    with st.grid(4, min_column_width=130, key=f"grid-{page}-examples"):
        for example in EXAMPLES:
            with st.container(gap="small"):
                st.image(str(example.picture), width="stretch", alt=example.prompt)
                if st.button(escape(example.title), key=f"{page}-example-{example.key}", width="stretch"):
                    pressed = example
    return pressed
