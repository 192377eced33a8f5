"""What a person says is wrong becomes an edit that can be read before it runs, and undone after."""

import json
from typing import Any

import pytest

from sdxl_lora import prompts
from sdxl_lora.errors import DataError, InputError, PromptError, UnknownNameError
from sdxl_lora.feedback.changes import template_of
from sdxl_lora.feedback.corrections import TAGS, correct, correct_all, correct_text, other_colours
from sdxl_lora.feedback.history import MAX_STEPS, History
from sdxl_lora.request import GenerationRequest

REQUEST = GenerationRequest(
    prompt="a navy cap with a white star logo, in a forest", negative_prompt="blurry", seed=1
)


def test_a_wrong_colour_is_said_louder() -> None:
    found = correct(REQUEST, "wrong colour")
    assert found.request.prompt == "a (navy:1.4) cap with a white star logo, in a forest"
    assert found.words == "wrong colour: emphasised navy (1.4)"
    assert found.request.seed == 1


def test_the_products_name_stays_as_it_is() -> None:
    request = GenerationRequest(prompt="top, Velora Cap Navy, a photo of a navy cap")
    found = correct(request, "wrong colour")
    assert found.request.prompt == "top, Velora Cap Navy, a photo of a (navy:1.4) cap"
    assert found.words == "wrong colour: emphasised navy (1.4)"


def test_a_small_logo_is_said_louder_and_its_smallness_kept_out() -> None:
    found = correct(REQUEST, "logo too small")
    assert "(star:1.4) logo" in found.request.prompt
    assert found.request.negative_prompt == "blurry, small logo, tiny logo"
    assert "added small logo, tiny logo to the negative prompt" in found.words


def test_what_is_said_already_is_not_said_twice() -> None:
    once = correct(REQUEST, "logo too small")
    assert correct(once.request, "logo too small").request == once.request
    assert correct(REQUEST, "blurry").request.negative_prompt == "blurry, out of focus"


@pytest.mark.parametrize("tag", sorted(TAGS))
def test_every_tag_changes_something_or_says_that_it_is_there(tag: str) -> None:
    found = correct(REQUEST, tag)
    assert found.request != REQUEST or "the prompt" in found.words
    assert found.words.startswith(f"{tag}: ")


def test_an_unknown_tag_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'wrong colour'"):
        correct(REQUEST, "wrong color")


def test_free_text_may_say_several_things() -> None:
    found = correct_text(REQUEST, "The logo is too small and the background is busy")
    assert [one.words.split(":")[0] for one in found] == ["logo too small", "background busy"]
    assert "(star:1.4)" in found[-1].request.prompt
    assert found[-1].request.negative_prompt.endswith("busy background, clutter")


def test_free_text_may_say_what_should_go() -> None:
    [found] = correct_text(REQUEST, "no hood please")
    assert found.request.negative_prompt == "blurry, hood"


@pytest.mark.parametrize("text", ["", "hmm", "もっと"])
def test_what_is_not_understood_is_said(text: str) -> None:
    with pytest.raises(PromptError, match="it is not clear what to change"):
        correct_text(REQUEST, text)


# ---------------------------------------------------------------- of a template: its slots


def filled(**values: str) -> GenerationRequest:
    template = prompts.get("jacket")
    slots = template.complete(values)
    return GenerationRequest(
        prompt=prompts.fill(template, slots), template="jacket", slots=tuple(slots.items()), seed=1
    )


def test_where_a_template_made_the_prompt_its_slot_is_edited() -> None:
    found = correct(filled(), "wrong colour").request
    assert dict(found.slots)["colour"] == "(navy:1.4)"
    assert template_of(found) is not None
    assert "a photography of a (navy:1.4) windbreaker jacket" in found.prompt
    assert "Jacket Navy" in found.prompt  # names are not emphasised
    assert correct(found, "wrong colour").request == found


def test_articles_and_plurals_do_not_mind_emphasis() -> None:
    template = prompts.get("bottom-wear")
    for product, words in (
        ("cargo pants", "of (orange:1.4) (cargo pants:1.4)"),
        ("skirt", "of an (orange:1.4) ("),
    ):
        prompt = prompts.fill(template, {"colour": "(orange:1.4)", "product": f"({product}:1.4)"})
        assert words in prompt


def test_a_word_of_the_users_own_is_emphasised_in_its_slot_too() -> None:
    found = correct(filled(colour="heliotrope"), "wrong colour").request
    assert dict(found.slots)["colour"] == "(heliotrope:1.4)"
    assert correct(found, "wrong colour").request == found


def test_a_missing_logo_gets_the_one_the_template_would_have() -> None:
    found = correct(filled(logo=""), "logo missing")
    assert "triangle logo" in found.request.prompt
    assert "asked for triangle" in found.words


@pytest.mark.parametrize(
    ("text", "slot", "value"),
    [
        ("please make it red", "colour", "red"),
        ("the jacket should be olive, not navy", "colour", "olive"),
        ("wrong colour, I wanted black", "colour", "black"),
        ("change the background to a white background", "setting", "white background"),
        ("I want a star logo instead", "logo", "star"),
    ],
)
def test_a_wish_in_free_text_changes_what_it_names(text: str, slot: str, value: str) -> None:
    found = correct_text(filled(), text)
    assert dict(found[-1].request.slots)[slot] == value
    assert template_of(found[-1].request) is not None


def test_a_wish_works_without_a_template() -> None:
    [found] = correct_text(REQUEST, "make it red")
    assert found.request.prompt == "a red cap with a white star logo, in a forest"
    assert found.words == "colour: navy -> red"
    [olive] = correct_text(REQUEST, "make it olive")
    assert olive.request.prompt.startswith("an olive cap")
    louder = correct(REQUEST, "logo too small").request
    assert correct_text(louder, "make it red")[-1].request.prompt.startswith(
        "a red cap with a white (star:1.4)"
    )


def test_what_is_wished_for_already_is_not_understood_as_a_change() -> None:
    with pytest.raises(PromptError, match="it is not clear what to change"):
        correct_text(REQUEST, "make it navy")


def test_tags_and_text_come_one_upon_the_other() -> None:
    found = correct_all(filled(), ("background busy", "wrong colour"), "a bigger logo")
    slots = dict(found[-1].request.slots)
    assert (slots["colour"], slots["logo"]) == ("(navy:1.4)", "(triangle:1.4)")
    assert "clutter" in found[-1].request.negative_prompt
    assert correct_all(filled(), (), " ") == []


# ---------------------------------------------------------------- history


def test_history_is_a_tree_in_which_nothing_is_lost() -> None:
    red = correct(REQUEST, "wrong colour")
    busy = correct(REQUEST, "background busy")
    tree = History.begin(REQUEST).made("one").change(red.request, red.words).made("two").undo()
    assert tree.current.request == REQUEST
    assert tree.current.records == ("one",)
    tree = tree.change(busy.request, busy.words).change(REQUEST, "back")
    assert list(tree.outline()) == [(0, 0), (1, 1), (1, 2), (2, 3)]
    assert tree.go_to(1).current.records == ("two",)
    assert tree.go_to(0).undo().current.request == REQUEST
    again = tree.go_to(0).change(red.request, red.words)
    assert (again.at, len(again.steps)) == (1, 4)
    with pytest.raises(InputError, match="no step 9; it has 4"):
        tree.go_to(9)


def test_history_survives_being_written_down() -> None:
    red = correct(filled(), "wrong colour")
    tree = History.begin(filled()).change(red.request, red.words).made("a" * 32)
    assert History.from_dict(json.loads(json.dumps(tree.to_dict()))) == tree
    assert History.from_dict(History().to_dict()) == History()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"steps": [{}], "at": 0},
        {"steps": [], "at": "x"},
        {"steps": [{"request": {"prompt": "a"}, "words": "", "parent": 0, "records": []}], "at": 0},
        {"steps": [{"request": {"prompt": "a"}, "words": "", "parent": None, "records": []}], "at": 1},
        {"steps": [{"request": {"prompt": ""}, "words": "", "parent": None, "records": []}], "at": 0},
    ],
)
def test_what_is_no_history_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="this is no history"):
        History.from_dict(values)


def test_a_history_that_grew_too_long_begins_anew() -> None:
    tree = History.begin(REQUEST)
    for number in range(MAX_STEPS + 1):
        tree = tree.change(GenerationRequest(prompt=f"cap number {number}"), "")
    assert len(tree.steps) <= MAX_STEPS
    assert tree.current.request.prompt == f"cap number {MAX_STEPS}"


def test_other_colours_change_the_garment_and_its_name_and_nothing_else() -> None:
    prompt = "outer, Northpeak Cap Navy, a photography of a navy cap with a white star logo"
    found = other_colours(GenerationRequest(prompt=prompt, seed=7), ("navy", "white", "olive", "red"))
    assert {colour: request.prompt for colour, request in found.items()} == {
        "olive": "outer, Northpeak Cap Olive, a photography of an olive cap with a white star logo",
        "red": "outer, Northpeak Cap Red, a photography of a red cap with a white star logo",
    }
    assert {request.seed for request in found.values()} == {7}


def test_other_colours_of_a_template_are_said_by_its_slots() -> None:
    template = prompts.get("jacket")
    slots = template.complete({"colour": "navy"})
    request = GenerationRequest(
        prompt=prompts.fill(template, slots), template="jacket", slots=tuple(slots.items()), seed=7
    )
    red = other_colours(request, ("red",))["red"]
    assert dict(red.slots)["colour"] == "red"
    assert red.prompt == prompts.fill(template, dict(red.slots))


def test_without_a_colour_there_are_no_other_ones() -> None:
    assert other_colours(GenerationRequest(prompt="a photography of a cap"), ("red",)) == {}
