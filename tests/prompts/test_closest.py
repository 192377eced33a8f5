"""Instead of a word that a model lacks: its translation, the nearest thing it has, or the word that was meant."""

import pytest

from sdxl_lora.prompts.closest import closest

KNOWN = frozenset({"red", "sneakers", "windbreaker", "jacket", "tote", "bag", "navy"})


def knows(phrase: str) -> bool:
    return set(phrase.split()) <= KNOWN


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("rotes", "red"),
        ("boots", "sneakers"),
        ("backpack", "tote bag"),
        ("windbreakr", "windbreaker"),
        ("jaket", "jacket"),
        ("crimson", "red"),
        ("beanie", None),  # a cap would be nearest, which this vocabulary lacks
        ("pizza", None),
        ("nav", None),
    ],
)
def test_only_what_the_vocabulary_has_is_proposed(word: str, found: str | None) -> None:
    assert closest(word, knows, KNOWN) == found
