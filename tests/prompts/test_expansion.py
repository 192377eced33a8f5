"""Choices become every combination, counted before any is made, and words of lists stay words."""

from pathlib import Path

import pytest

from sdxl_lora.config import MAX_PROMPT_CHARACTERS
from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.prompts import expand, wildcards
from sdxl_lora.prompts.vocabulary import WORDS


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cap", ["a cap"]),
        ("a {red|navy} {cap|hat}", ["a red cap", "a red hat", "a navy cap", "a navy hat"]),
        ("{striped |}cap", ["striped cap", "cap"]),
        ("a cap{, {in fog|at night}|}", ["a cap, in fog", "a cap, at night", "a cap"]),
        (r"a \{b\|c\} cap | hat", ["a {b|c} cap | hat"]),
        ("{a}", ["a"]),
        ("snake_case __ x", ["snake_case __ x"]),
    ],
)
def test_every_combination_comes_once_and_the_last_choice_changes_fastest(
    prompt: str, expected: list[str]
) -> None:
    expansion = expand(prompt)
    assert list(expansion) == expected
    assert expansion.count == len(expected)


def test_word_lists_are_the_vocabularys_and_the_users_own_win(home: Path) -> None:
    assert list(expand("__colours__ cap")) == [f"{colour} cap" for colour in WORDS["colours"]]
    (home / "wildcards").mkdir(parents=True)
    (home / "wildcards" / "colours.txt").write_text("lime # bright\n\n# nothing\nplum\nlime\n")
    assert list(expand("__Colours__ cap")) == ["lime cap", "plum cap"]
    assert expand("__catalogue-settings__").count == len(WORDS["catalogue settings"])
    assert "catalogue_settings" in wildcards()


def test_words_of_lists_are_never_read_as_syntax(home: Path) -> None:
    (home / "wildcards").mkdir(parents=True)
    (home / "wildcards" / "loop.txt").write_text("__loop__\n{a|b}\n{{ 7 * 7 }}\n")
    assert list(expand("__loop__")) == ["__loop__", "{a|b}", "{{ 7 * 7 }}"]


def test_astronomical_numbers_are_counted_and_sampled_at_once() -> None:
    expansion = expand("{a|b}" * 400)
    assert expansion.count == 2**400
    chosen = expansion.sample(5, seed=1)
    assert len(set(chosen)) == 5
    assert chosen == expansion.sample(5, seed=1) != expansion.sample(5, seed=2)


def test_a_sample_of_few_is_all_of_them() -> None:
    assert sorted(expand("{a|b|c}").sample(9, seed=0)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a {b", "'{' without '}' at character 3"),
        ("a b}", "'}' without '{' at character 4"),
        ("{" * 9, "nested more than 8 deep"),
        ("x" * (MAX_PROMPT_CHARACTERS + 1), "shorten it to"),
    ],
)
def test_mistakes_are_named_with_their_place(prompt: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        expand(prompt)


def test_an_unknown_list_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'colours'"):
        expand("a __colors__ cap")


def test_an_empty_list_is_named(home: Path) -> None:
    (home / "wildcards").mkdir(parents=True)
    (home / "wildcards" / "mine.txt").write_text("# only this\n")
    with pytest.raises(PromptError, match=r"mine.txt is empty"):
        expand("__mine__")
