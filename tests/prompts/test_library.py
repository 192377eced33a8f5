"""Templates come from files: the package's own, and the user's, which win."""

import re
from pathlib import Path

import pytest

from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.mini import scene
from sdxl_lora.prompts import fill, get, library, problems, templates
from sdxl_lora.prompts.vocabulary import WORDS
from sdxl_lora.request import GenerationRequest

CATEGORIES = {"outerwear", "tops", "bottom wear", "dresses", "footwear", "accessories"}
GOOD = """
title: Scarf
category: accessories
style: catalogue
pattern: "accessory, {a} [{colour} ]{product}"
slots:
  colour: {label: Colour, suggestions: colours, optional: true}
  product: {label: Product, default: scarf, suggestions: [scarf, shawl]}
"""


def write(home: Path, name: str, text: str) -> Path:
    path = home / "templates" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_category_has_a_catalogue_and_a_lifestyle_template() -> None:
    assert {(t.category, t.style) for t in templates().values()} == {
        (category, style) for category in CATEGORIES for style in ("catalogue", "lifestyle")
    }
    assert problems() == {}


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_bundled_template_makes_a_request_with_any_suggestion(name: str) -> None:
    chosen = get(name)
    assert (chosen.name, bool(chosen.title), bool(chosen.negative)) == (name, True, True)
    for slot in chosen.slots:
        for suggestion in slot.suggestions:
            prompt = fill(chosen, {slot.name: suggestion})
            assert suggestion.lower() in prompt.lower()
            GenerationRequest(prompt=prompt, negative_prompt=chosen.negative)


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_slot_of_the_issue_is_there(name: str) -> None:
    slots = {slot.name for slot in get(name).slots}
    expected = {
        "brand", "product", "colour", "material", "pattern", "logo", "logo_position", "setting",
        "light", "camera", "style",
    }  # fmt: skip
    assert expected <= slots
    assert ("person" in slots) == (get(name).style == "lifestyle")


def test_suggestions_are_the_words_the_bundled_model_knows() -> None:
    assert set(WORDS["colours"]) == set(scene.COLOURS)
    assert set(WORDS["patterns"]) == set(scene.PATTERNS) - {"plain"}
    assert set(WORDS["emblems"]) == set(scene.EMBLEMS)


def test_a_user_template_is_added_and_changes_when_its_file_does(home: Path) -> None:
    path = write(home, "scarf", GOOD)
    assert fill(get("scarf"), {"colour": "orange"}) == "accessory, an orange scarf"
    assert get("scarf").slots[0].suggestions == WORDS["colours"]
    path.write_text(GOOD.replace("default: scarf", "default: long warm shawl"), encoding="utf-8")
    assert fill(get("scarf"), {}) == "accessory, a long warm shawl"
    path.unlink()
    assert "scarf" not in templates()


def test_a_user_template_replaces_the_bundled_one_of_its_name(home: Path) -> None:
    write(home, "jacket", GOOD)
    assert get("jacket").title == "Scarf"


def test_an_unknown_template_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no template named 'jackett'; did you mean 'jacket'"):
        get("jackett")


def test_a_broken_file_hides_no_other_template_and_is_not_passed_over(home: Path) -> None:
    write(home, "jacket", "title: [")
    assert "t-shirt" in templates()
    assert "jacket" not in templates()
    assert list(problems()) == ["jacket"]
    with pytest.raises(PromptError, match=r"jacket\.yaml, line 1"):
        get("jacket")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("title: [", 1, "expected the node content"),
        ("title: a\n\tstyle: b", 2, "cannot start any token"),
        ("just words", 1, "must be 'name: value' lines"),
        ("", 1, "must be 'name: value' lines"),
        ("- a\n- b", 1, "must be 'name: value' lines"),
        (GOOD.replace("title: Scarf\n", ""), 1, "'title' is missing"),
        (GOOD.replace("title: Scarf", "title: 5"), 2, "'title' must be text; put 5 in quotation marks"),
        (GOOD.replace("title: Scarf", "title: no"), 2, "'title' must be text; put False in quotation marks"),
        (GOOD.replace("style:", "styel:"), 4, "no setting named 'styel'; did you mean 'style'"),
        (GOOD.replace("{product}", "{produce}"), 5, "undeclared slots: produce"),
        (GOOD.replace("]{product}", "{product}"), 5, "without"),
        (GOOD.replace("optional: true", "optional: maybe"), 7, "must be true or false"),
        (
            GOOD.replace("label: Colour,", "lable: Colour,"),
            7,
            "no setting named 'lable'; did you mean 'label'",
        ),
        (GOOD.replace("suggestions: colours", "suggestions: colors"), 7, "did you mean 'colours'"),
        (GOOD.replace("[scarf, shawl]", "[scarf, 7]"), 8, "must be text; put 7"),
        (GOOD.replace("[scarf, shawl]", "{a: b}"), 8, "must be a list or the name of a word list"),
        (GOOD.replace("default: scarf, ", ""), 5, "needs a default"),
        (GOOD.replace("slots:", "slots: x\nmore:"), 8, "no setting named 'more'"),
        (GOOD + "? [a, b]\n: c\n", 9, "found unhashable key"),
        ("a: !!python/object/apply:os.system [ls]", 1, "could not determine a constructor"),
        ("[" * 600, 1, "not valid YAML"),
    ],
)
def test_a_broken_file_is_one_line_with_file_and_line(home: Path, text: str, line: int, message: str) -> None:
    path = write(home, "scarf", text)
    with pytest.raises(PromptError, match=message) as caught:
        library.load(path)
    assert re.search(rf"scarf\.yaml, line {line}: .", str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("Scarf One", GOOD.encode(), "small letters"),
        ("scarf", b"\xff\xfe\x00", "cannot be read"),
        ("scarf", b"#" * 70_000, "larger than 64 KB"),
    ],
)
def test_files_that_cannot_be_templates_say_why(home: Path, name: str, data: bytes, message: str) -> None:
    path = write(home, name, "")
    path.write_bytes(data)
    assert message in str(problems()[name])


def test_a_link_to_nowhere_is_passed_over(home: Path) -> None:
    write(home, "scarf", GOOD)
    (home / "templates" / "gone.yaml").symlink_to(home / "nothing.yaml")
    assert "scarf" in templates()
    assert problems() == {}
