"""What marketers type in their own language is found by the field it stands in, and never guessed."""

import pytest

from sdxl_lora import prompts
from sdxl_lora.prompts import translation
from sdxl_lora.prompts.vocabulary import WORDS


@pytest.mark.parametrize(
    ("slot", "value", "english"),
    [
        ("colour", "rotes", "red"),
        ("colour", "Weiße", "white"),
        ("colour", "marine", "navy"),
        ("colour", "azul marino", "navy"),
        ("colour", "藏青色", "navy"),
        ("logo_colour", "ワインレッド", "burgundy"),
        ("product", "Jacke", "jacket"),
        ("product", "Ｔシャツ", "t-shirt"),
        ("product", "牛仔裤", "jeans"),
        ("setting", "vor weißem Hintergrund", "white background"),
        ("logo", "étoile", "star"),
        ("logo_position", "en la manga", "on the sleeve"),
        ("presentation", "sur un cintre", "on a hanger"),
        ("material", "de lana", "wool"),
        ("pattern", "kariertes", "checked"),
    ],
)
def test_a_field_is_translated_by_its_own_list(slot: str, value: str, english: str) -> None:
    assert translation.of_field(slot, value) == english


@pytest.mark.parametrize(
    ("slot", "value"),
    [("colour", "navy"), ("product", "gilet"), ("brand", "Rot"), ("colour", "Jacke"), ("colour", "")],
)
def test_english_brands_and_words_of_other_fields_stay_as_they_are(slot: str, value: str) -> None:
    assert translation.of_field(slot, value) is None


@pytest.mark.parametrize(
    ("text", "english"),
    [
        (
            "eine rote Jacke mit einem weißen Stern auf der Brust",
            "a red jacket with a white star logo on the chest",
        ),
        ("une robe bleu marine, sur la plage", "a navy dress, on a beach"),
        (
            "una chaqueta roja con una estrella blanca en el pecho",
            "a red jacket with a white star logo on the chest",
        ),
        ("赤いジャケット", "red jacket"),
        ("红色夹克，白色背景", "red jacket, white background"),
    ],
)
def test_a_sentence_of_known_words_is_proposed_in_english(text: str, english: str) -> None:
    assert translation.of_sentence(text) == english


@pytest.mark.parametrize("text", ["ein roter Drache", "a red jacket", "jeans", "", "une robe magnifique"])
def test_a_sentence_with_one_word_unknown_is_not(text: str) -> None:
    assert translation.of_sentence(text) is None


def test_every_english_word_of_the_table_is_one_that_a_template_suggests() -> None:
    suggested = {word for words in WORDS.values() for word in words}
    suggested |= {word for t in prompts.templates().values() for slot in t.slots for word in slot.suggestions}
    for field, words in translation._table().items():
        if field != "joining":
            assert set(words.values()) <= suggested | {"on an urban street"}, (
                field
            )  # suggested as "standing on..."


@pytest.mark.parametrize("field", ["colours", "patterns", "emblems"])
def test_every_suggestion_has_its_word_in_five_languages(field: str) -> None:
    for language in translation._by_language():
        assert set(language[field].values()) == set(WORDS[field])
