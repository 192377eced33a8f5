"""Two settings against each other: axes from the table of request fields, a job per cell, asked for once."""

import pytest

from sdxl_lora.comparing import axes
from sdxl_lora.comparing.axes import Grid, read
from sdxl_lora.errors import InputError
from sdxl_lora.request import FIELDS, GenerationRequest, LoraSpec

REQUEST = GenerationRequest(
    prompt="a navy jacket", seed=7, loras=(LoraSpec(path="a.safetensors", sha256="0f" * 32),)
)


def test_every_number_and_choice_of_the_table_can_be_an_axis() -> None:
    known = set(axes.settings())
    assert {"seed", "steps", "guidance", "scheduler", "width", "upscale", "precision"} - known == {
        "scheduler"
    }
    assert known - {field.name for field in FIELDS} == {"lora", "lora_weight"}
    assert not known & {"count", "prompt", "offload", "strength"}


def test_cells_differ_in_their_two_settings_and_in_nothing_else() -> None:
    cells = Grid(REQUEST, read("guidance", "2, 3.5"), read("seed", "1-3")).requests()
    assert [(cell, one.guidance, one.seed) for cell, one in cells.items()] == [
        ((0, 0), 2, 1),
        ((1, 0), 3.5, 1),
        ((0, 1), 2, 2),
        ((1, 1), 3.5, 2),
        ((0, 2), 2, 3),
        ((1, 2), 3.5, 3),
    ]
    assert {(one.prompt, one.loras) for one in cells.values()} == {(REQUEST.prompt, REQUEST.loras)}


def test_weight_and_checkpoint_of_a_lora_are_axes() -> None:
    grid = Grid(REQUEST, read("lora_weight", "0.4, 1"), read("lora", "a.safetensors, b.safetensors"))
    assert [str(one.loras[0].path) + f" {one.loras[0].weight:g}" for one in grid.requests().values()] == [
        "a.safetensors 0.4",
        "a.safetensors 1",
        "b.safetensors 0.4",
        "b.safetensors 1",
    ]
    assert grid.across.labels == ["LoRA weight 0.4", "LoRA weight 1"]
    assert all(one.loras[0].sha256 == "" for one in grid.requests().values())  # another file has another


def test_the_same_cell_is_the_same_job_in_every_grid() -> None:
    one = Grid(REQUEST, read("guidance", "2, 3"), read("seed", "1, 2"))
    same = Grid(REQUEST, read("guidance", "2,3"), read("seed", "1-2"))
    other = Grid(REQUEST, read("guidance", "2, 4"), read("seed", "1, 2"))
    keys = [{spec.idempotency_key for spec in grid.specs().values()} for grid in (one, same, other)]
    assert len(keys[0]) == 4
    assert keys[0] == keys[1]
    assert len(keys[0] & keys[2]) == 2  # the column that both have


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("guidance", ""),
        ("guidance", "three"),
        ("guidance", "nan"),
        ("guidance", "2, 2"),
        ("guidance", "99"),
        ("seed", "1-1000"),
        ("seed", "9-1"),
        ("steps", "2.5"),
        ("precision", "fp99"),
        ("width", "65"),
        ("no such thing", "1"),
        ("seed", "1-11"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_before_anything_is_asked_for(name: str, values: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        Grid(
            REQUEST, read(name, values), read("lora_weight", "0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1")
        )


def test_settings_of_a_lora_need_one() -> None:
    plain = GenerationRequest(prompt="a cap", seed=1)
    with pytest.raises(InputError, match="without a LoRA"):
        Grid(plain, read("lora_weight", "0.4, 1"), read("seed", "1, 2"))
    with pytest.raises(InputError, match="choose two"):
        Grid(plain, read("seed", "3"), read("seed", "1, 2"))
    with pytest.raises(InputError, match="needs a seed"):
        Grid(GenerationRequest(prompt="a cap"), read("steps", "3"), read("guidance", "1, 2"))
