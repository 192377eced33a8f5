"""What a model cannot draw is known from its description, before anything is drawn."""

import pytest

from sdxl_lora.models.capabilities import Capabilities
from sdxl_lora.scoring import limits

WORDS = "red navy white jacket windbreaker sneakers trousers cap with logo star forest background"
CLOSED = Capabilities(
    words=frozenset(WORDS.split()),
    products=(("jacket", ("windbreaker",)), ("sneakers", ()), ("trousers", ("denim",)), ("cap", ())),
    products_per_picture=1,
)


def met(prompt: str, **slots: str) -> limits.Limits:
    return limits.of_capabilities(CLOSED, "small", prompt, slots)


@pytest.mark.parametrize(
    "prompt",
    [
        "a navy jacket with a white star logo, forest background",
        "the (red:1.3) cap, 8K, fashion photography",
        "caps",
    ],
)
def test_what_the_model_knows_is_not_spoken_of(prompt: str) -> None:
    found = met(prompt)
    assert not found
    assert found.lines() == ()


def test_unknown_words_are_named_with_the_closest_that_is_known() -> None:
    found = met("a rotes windbreakr with boots and pizza 🧥")
    assert [(word.word, word.closest) for word in found.unknown] == [
        ("rotes", "red"),
        ("windbreakr", "windbreaker"),
        ("boots", "sneakers"),
        ("pizza", None),
        ("🧥", None),
    ]
    assert found.lines()[0] == (
        "small does not know: rotes (closest: red), windbreakr (closest: windbreaker),"
        " boots (closest: sneakers), pizza, 🧥"
    )


def test_a_subject_that_is_no_product_of_the_models_is_not_drawn() -> None:
    found = met("a red sports car")
    assert not found.draws_product
    assert found.lines()[1] == "small draws none of what is named here; the picture will show something else"
    assert met("a red jacket").draws_product


def test_several_products_are_more_than_one_picture_shows() -> None:
    found = met("a navy jacket, white trousers and red sneakers")
    assert found.several
    assert found.lines() == ("small draws one product in a picture; here are jacket, trousers, sneakers",)
    assert not met("a denim jacket").several  # what it is made of


def test_a_sentence_in_another_language_is_proposed_in_english() -> None:
    found = met("eine rote Jacke")
    assert found.translation == "a red jacket"
    assert found.lines()[-1] == "in English: a red jacket"


def test_the_brand_is_nothing_to_draw() -> None:
    assert not met("an Acme Field jacket", brand="Acme Field")
    assert met("an Acme Field jacket").unknown


def test_a_model_that_says_nothing_has_no_limits() -> None:
    found = limits.of_capabilities(Capabilities(), "open", "a red sports car, eine rote Jacke, pizza 🧥")
    assert not found
    assert found.draws_product
    assert not limits.of("a model that is gone", "a red sports car")


def test_the_bundled_model_knows_its_own_words() -> None:
    assert not limits.of(
        "mini", "a navy windbreaker jacket with a white triangle logo on the chest, in a forest"
    )
    assert limits.of("mini", "a golden retriever eating pizza").to_dict()["draws_product"] is False
