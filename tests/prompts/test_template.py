"""Filling a template gives a clean sentence, whatever is left empty or typed in."""

import pytest

from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.prompts import Slot, Template, fill, get, templates
from sdxl_lora.prompts.template import article, is_plural


def template(pattern: str, **defaults: str) -> Template:
    """A template whose slots all are optional and have these defaults."""
    slots = tuple(
        Slot(name=name, label=name, default=value, optional=True) for name, value in defaults.items()
    )
    return Template(name="t", title="T", category="c", style="s", pattern=pattern, slots=slots)


def test_the_jacket_templates_give_the_two_prompts_of_the_original() -> None:
    values = {"product": "windbreaker jacket", "colour": "navy", "logo": "triangle", "logo_colour": "white"}
    assert fill(get("jacket"), values) == (
        "outer, Northpeak Windbreaker Jacket Navy, a photography of a navy windbreaker jacket with a white"
        " triangle logo on the chest, studio background"
    )
    assert fill(get("jacket-lifestyle"), {"brand": "Nike", "colour": "", "logo": ""}) == (
        "A male model wearing a Nike windbreaker jacket, standing on an urban street, ultra-detailed fabric"
        " textures, visible logo, fashion photography, 8K"
    )


def test_defaults_stand_in_for_what_is_not_given_but_not_for_what_is_emptied() -> None:
    coloured = template("a [{colour} ]coat", colour="navy")
    assert fill(coloured, {}) == "a navy coat"
    assert fill(coloured, {"colour": ""}) == "a coat"
    assert fill(coloured, {"colour": "  \n "}) == "a coat"


@pytest.mark.parametrize("name", sorted(templates()))
def test_no_combination_of_empty_slots_leaves_traces(name: str) -> None:
    chosen = templates()[name]
    optional = [slot.name for slot in chosen.slots if slot.optional]
    cases = [
        set(optional),
        set(),
        *({slot} for slot in optional),
        *(set(optional) - {slot} for slot in optional),
    ]
    for empty in cases:
        prompt = fill(chosen, dict.fromkeys(empty, ""))
        assert prompt == " ".join(prompt.split())
        for trace in (" ,", ",,", ", ,", "a  ", " a logo", "with logo", "with a with", "{", "[", "and ,"):
            assert trace not in prompt, (empty, prompt)
        assert not prompt.endswith(("with", "with a", "and", ",", " of"))
        assert ("logo" in prompt.replace("visible logo", "")) == ("logo" not in empty)


def test_a_group_goes_when_its_slot_is_empty_and_takes_nested_groups_along() -> None:
    pattern = "cap[ with {a} [{colour} ]{logo} logo[ {place}]]"
    logo = template(pattern, colour="white", logo="star", place="on the front")
    assert fill(logo, {}) == "cap with a white star logo on the front"
    assert fill(logo, {"colour": "orange"}) == "cap with an orange star logo on the front"
    assert fill(logo, {"colour": "", "place": ""}) == "cap with a star logo"
    assert fill(logo, {"logo": ""}) == "cap"


@pytest.mark.parametrize(
    ("following", "expected"),
    [
        ("navy coat", "a"),
        ("orange coat", "an"),
        ("  olive coat", "an"),
        ("Alo Yoga top", "an"),
        ("hour", "an"),
        ("unisex shirt", "a"),
        ("used shirt", "a"),
        ("Uniqlo top", "a"),
        ("umbrella", "an"),
        ("European cut", "a"),
        ("one-piece", "a"),
        ("NFL jersey", "an"),
        ("COS coat", "a"),
        ("8-panel cap", "an"),
        ("18th shirt", "an"),
        ("1980s shirt", "a"),
        ("'ivory' coat", "an"),
        ("ジャケット", "a"),
        ("", "a"),
    ],
)
def test_articles_follow_the_first_sound(following: str, expected: str) -> None:
    assert article(following) == expected


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("trousers", True),
        ("cargo pants", True),
        ("sneakers", True),
        ("pair of jeans", False),
        ("summer dress", False),
        ("tote bag", False),
        ("sunglasses", True),
        ("t-shirt", False),
    ],
)
def test_plural_products_are_known_by_their_ending(noun: str, plural: bool) -> None:
    assert is_plural(noun) is plural


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        ("trousers", "a photography of navy trousers"),
        ("pair of jeans", "a photography of a navy pair of jeans"),
        ("skirt", "a photography of a navy skirt"),
    ],
)
def test_plural_products_have_no_article(product: str, expected: str) -> None:
    goods = template("a photography of {a:product} {colour} {product}", colour="navy", product="skirt")
    assert fill(goods, {"product": product}) == expected


def test_a_sentence_without_article_still_begins_with_a_capital() -> None:
    people = template("{A:person} {person} wearing {a} {product}", person="runner", product="cap")
    assert fill(people, {}) == "A runner wearing a cap"
    assert fill(people, {"person": "two friends"}) == "Two friends wearing a cap"
    assert fill(people, {"person": "old man", "product": "apron"}) == "An old man wearing an apron"


def test_values_are_never_read_as_syntax() -> None:
    hostile = template("{a} {brand} {product:title}, {colour}", brand="x", product="y", colour="z")
    values = {"brand": "{colour}[{product}]", "product": "{a} ] [", "colour": "__wild__ {0} %s {{"}
    assert fill(hostile, values) == "a {colour}[{product}] {a} ] [, __wild__ {0} %s {{"


def test_commas_and_spaces_in_values_are_tidied() -> None:
    two = template("{a} {colour} {product}, {setting}", colour="red", product="cap", setting="studio")
    values = {"colour": " light\t blue ,", "product": "cap", "setting": ", , studio,, daylight"}
    assert fill(two, values) == "a light blue cap, studio, daylight"


def test_titles_keep_capitals_that_are_there() -> None:
    named = template("{brand:title} {product:title}", brand="mcQueen", product="DRY-fit t-shirt")
    assert fill(named, {}) == "McQueen DRY-fit T-shirt"


def test_every_script_simply_works() -> None:
    named = template("{a} {product}", product="x")
    assert fill(named, {"product": "ジャケット 🧥"}) == "a ジャケット 🧥"


def test_an_unknown_slot_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no slot named 'color'; did you mean 'colour'"):
        fill(get("jacket"), {"color": "navy"})


def test_a_needed_slot_cannot_be_emptied() -> None:
    with pytest.raises(
        PromptError, match="the product is empty; say what it is, for example 'windbreaker jacket'"
    ):
        fill(get("jacket"), {"product": " "})


def test_a_value_that_is_too_long_says_so() -> None:
    with pytest.raises(PromptError, match="the brand has 201 characters; shorten it to 200"):
        fill(get("jacket"), {"brand": "x" * 201})


def test_complete_gives_every_slot_in_order_for_the_record() -> None:
    complete = get("jacket").complete({"colour": "  red "})
    assert list(complete) == [slot.name for slot in get("jacket").slots]
    assert (complete["colour"], complete["product"], complete["material"]) == (
        "red",
        "windbreaker jacket",
        "",
    )


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a {colour", "stray '{' in the pattern at character 3"),
        ("colour}", "stray '}'"),
        ("a [ {colour}", "'\\[' without '\\]'"),
        ("a ] {colour}", "'\\]' without '\\[' in the pattern at character 3"),
        ("{Colour} {colour}", "{Colour} in the pattern is not a slot"),
        ("{colour:upper}", "only ':title' may follow"),
        ("{} {colour}", "{} in the pattern is not a slot"),
        ("{color} {colour}", "undeclared slots: color"),
        ("no slot", "does not use these slots: colour"),
        ("{a:noun} {colour}", "undeclared slots: noun"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_where(pattern: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        template(pattern, colour="navy")


def test_a_slot_needs_a_default_unless_it_is_optional() -> None:
    with pytest.raises(PromptError, match="slot 'x' needs a default or 'optional: true'"):
        Template(
            name="t", title="T", category="c", style="s", pattern="{x}", slots=(Slot(name="x", label="X"),)
        )
