"""A slot is one choice per picture, and what a picture's words say is no choice any more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdxl_lora import prompts
from sdxl_lora.errors import PromptError
from sdxl_lora.request import GenerationRequest, expansion
from tests.request.strategies import WORDS


def filled(extra: str = "", **slots: str) -> GenerationRequest:
    template = prompts.get("jacket")
    values = template.complete(slots)
    prompt = prompts.fill(template, values) + extra
    return GenerationRequest(prompt=prompt, template="jacket", slots=tuple(values.items()))


def test_a_choice_in_a_slot_that_the_template_says_twice_is_one_choice() -> None:
    request = filled(colour="{navy|red|olive|teal}")
    assert request.prompt.lower().count("navy") == 2
    made = expansion.each(request, 4)
    assert [dict(one.slots)["colour"] for one in made] == ["navy", "red", "olive", "teal"]
    for one in made:
        assert one.prompt == prompts.fill(prompts.get("jacket"), dict(one.slots))
        assert one.prompt.lower().count(dict(one.slots)["colour"]) == 2


def test_words_after_the_templates_have_choices_of_their_own() -> None:
    made = expansion.each(filled(", in {rain|snow}", colour="{navy|red}"), 4)
    assert [one.prompt.rpartition(", ")[2] for one in made] == ["in rain", "in snow"] * 2


def test_a_prompt_of_no_template_is_expanded_as_it_stands() -> None:
    request = GenerationRequest(prompt="a {red|blue} cap on {red|blue}", count=2)
    assert [one.prompt for one in expansion.expand(request)] == [
        "a red cap on red", "a red cap on blue", "a blue cap on red", "a blue cap on blue",
    ]  # fmt: skip
    with pytest.raises(PromptError, match="stands for 4 prompts, 8 pictures; the most is 7"):
        expansion.each(request, 7)


def test_words_edited_by_hand_are_expanded_as_they_stand() -> None:
    request = replace(filled(colour="{navy|red}"), prompt="a {navy|red} cap")
    assert [one.prompt for one in expansion.expand(request)] == ["a navy cap", "a red cap"]


def test_braces_in_the_words_of_a_picture_come_back_as_braces() -> None:
    [made] = expansion.expand(GenerationRequest(prompt=r"a cap with \{red|blue\} on it"))
    assert made.prompt == "a cap with {red|blue} on it"
    [again] = expansion.expand(expansion.literal(made))
    assert again == made


@given(WORDS)
def test_escaped_words_stand_for_themselves(words: str) -> None:
    plain = list(prompts.expand("x " + prompts.escape(words) + " x"))
    assert len(plain) == 1
    assert "".join(plain[0].split()).replace(",", "") == "".join(f"x{words}x".split()).replace(",", "")


@given(st.lists(st.sampled_from(["navy", "red", "olive", "dark green"]), min_size=1, unique=True))
def test_as_many_requests_as_choices_and_each_fills_the_template(colours: list[str]) -> None:
    variants = expansion.expand(filled(colour="{" + "|".join(colours) + "}"))
    assert variants.count == len(colours)
    assert [dict(one.slots)["colour"] for one in variants] == colours
