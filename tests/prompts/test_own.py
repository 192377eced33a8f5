"""Own templates are written as files that are read back, and shipped ones are never touched."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora import prompts
from sdxl_lora.errors import PromptError, StorageError, UnknownNameError
from sdxl_lora.prompts import Slot, Template, library, own


@pytest.mark.parametrize("name", sorted(library.templates()))
def test_a_copy_of_any_shipped_template_is_written_and_gives_the_same_prompt(name: str) -> None:
    shipped = prompts.get(name)
    copy = own.copy_of(shipped)
    path = own.save(copy)
    assert path.parent == own.folder()
    read = prompts.get(copy.name)
    assert read == copy
    assert prompts.fill(read, {}) == prompts.fill(shipped, {})
    assert prompts.get(name) == shipped


def test_copies_of_copies_have_names_of_their_own() -> None:
    first = own.copy_of(prompts.get("jacket"))
    own.save(first)
    second = own.copy_of(prompts.get("jacket"))
    assert (first.name, second.name) == ("jacket-copy-catalogue", "jacket-copy-catalogue-2")
    assert first.title == "Jacket copy, catalogue"


def test_the_name_of_a_shipped_template_is_refused() -> None:
    before = (library.BUNDLED / "jacket.yaml").read_bytes()
    with pytest.raises(PromptError, match="'jacket' is a shipped template and stays as it is; duplicate it"):
        own.save(replace(prompts.get("dress"), name="jacket"))
    assert (library.BUNDLED / "jacket.yaml").read_bytes() == before
    with pytest.raises(UnknownNameError, match="no template of your own named 'jacket'"):
        own.delete("jacket")


def test_an_own_template_is_changed_and_deleted() -> None:
    copy = own.copy_of(prompts.get("jacket"))
    own.save(copy)
    own.save(replace(copy, negative="fog"))
    assert prompts.get(copy.name).negative == "fog"
    own.delete(copy.name)
    assert copy.name not in prompts.templates()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../jacket"}, "is no name"),
        ({"name": "Jacket"}, "is no name"),
        ({"title": " "}, "the title is empty"),
        ({"pattern": " , ", "slots": ()}, "the pattern gives an empty prompt"),
        ({"pattern": "x" * 2_001, "slots": ()}, "longer than 2,000 characters"),
    ],
)
def test_what_is_no_usable_template_is_one_line(changes: dict[str, Any], message: str) -> None:
    template = Template(
        name="mine", title="Mine", category="outerwear", style="catalogue", pattern="a cap", slots=()
    )
    with pytest.raises(PromptError, match=message):
        own.save(replace(template, **changes))
    assert not list(own.folder().glob("*"))


def test_words_that_yaml_would_read_as_something_else_come_back_as_words() -> None:
    slots = (
        Slot(
            name="a_b", label="yes: no", default="on", suggestions=("1", "null", "# no", "- é"), optional=True
        ),
    )
    template = Template(
        name="mine",
        title="Mine: all",
        category="c",
        style="s",
        pattern="{a_b}: 100 %",
        slots=slots,
        negative="no",
    )
    own.save(template)
    assert prompts.get("mine") == template


def test_slots_follow_the_pattern() -> None:
    rows = [
        {
            "name": "colour",
            "label": "Tint",
            "default": " navy ",
            "suggestions": "red | | navy",
            "optional": False,
        },
        {"name": "gone", "label": "Gone", "default": "", "suggestions": "", "optional": True},
    ]
    assert own.slots_of("a {colour} {product_name} and {colour:title}", rows) == (
        Slot(name="colour", label="Tint", default="navy", suggestions=("red", "navy")),
        Slot(name="product_name", label="Product name", optional=True),
    )
    with pytest.raises(PromptError, match="stray"):
        own.slots_of("a {colour", rows)


def test_a_disk_that_refuses_is_one_line(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        own.save(own.copy_of(prompts.get("jacket")))
