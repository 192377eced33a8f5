"""Emphasis is read where a bracket ends in a number, written once, and taken off without a trace."""

import pytest

from sdxl_lora.prompts.emphasis import Weighted, emphasise, is_emphasised, parse, plain


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a cap", [("a cap", 1.0)]),
        ("a (navy:1.3) cap", [("a ", 1.0), ("navy", 1.3), (" cap", 1.0)]),
        ("(navy: .5 )", [("navy", 0.5)]),
        ("(a:9)(b:0)", [("a", 2.0), ("b", 0.1)]),
        ("a (navy) [cap] ((x)) :) (a:b)", [("a (navy) [cap] ((x)) :) (a:b)", 1.0)]),
        ("", [("", 1.0)]),
    ],
)
def test_weights_are_read(prompt: str, parts: list[tuple[str, float]]) -> None:
    assert parse(prompt) == tuple(Weighted(*part) for part in parts)


def test_plain_is_the_words_alone() -> None:
    assert plain("a (navy:1.3) cap (x)") == "a navy cap (x)"
    assert not is_emphasised("a (navy) cap")
    assert is_emphasised("a (navy:1.2) cap")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a navy cap", "a (navy:1.3) cap"),
        ("a Navy cap, navy sky", "a (Navy:1.3) cap, navy sky"),
        ("a (navy:1.1) cap", "a (navy:1.3) cap"),
        ("a (navy cap:1.1), navy", "a (navy cap:1.1), (navy:1.3)"),
        ("a navyish cap", "a navyish cap"),
        ("a navy-blue cap", "a navy-blue cap"),
    ],
)
def test_a_phrase_is_emphasised_once_and_as_whole_words(prompt: str, expected: str) -> None:
    assert emphasise(prompt, "navy", 1.3) == expected
