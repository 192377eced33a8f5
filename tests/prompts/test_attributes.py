"""Claims of a sentence are found where they stand, and swapped so that the sentence stays one."""

import time

import pytest

from sdxl_lora.config import MAX_PROMPT_CHARACTERS
from sdxl_lora.mini import scene
from sdxl_lora.prompts import attributes, fill, templates
from sdxl_lora.prompts.attributes import find
from sdxl_lora.scoring.spec import scored_text


def claims(sentence: str, **slots: str) -> dict[str, str]:
    return {claim.name: claim.value for claim in find(sentence, slots)}


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a navy cap", {"colour": "navy", "garment": "cap"}),
        (
            "a navy and white striped t-shirt with a red star logo on the chest, in a forest",
            {
                "colour": "navy",
                "second colour": "white",
                "pattern": "striped",
                "garment": "t-shirt",
                "logo colour": "red",
                "logo": "star",
                "background": "in a forest",
            },
        ),
        ("a light blue dress, white background", {"colour": "light blue", "garment": "dress"}
         | {"background": "white background"}),
        ("a cap in front of a beige wall", {"garment": "cap", "background": "in front of a beige wall"}),
        ("a NAVY Jacket", {"colour": "NAVY", "garment": "Jacket"}),
        ("capital stars on a jacketed navyman", {}),
        ("a star-shaped bag", {"garment": "bag"}),
        ("ジャケット 🧥", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_claims_are_found_by_their_words(sentence: str, expected: dict[str, str]) -> None:
    assert claims(sentence) == expected


def test_words_of_slots_are_found_although_no_list_has_them() -> None:
    found = claims(
        "a vermilion kimono with a swoosh logo", colour="vermilion", product="kimono", logo="swoosh"
    )
    assert found == {"colour": "vermilion", "garment": "kimono", "logo": "swoosh"}


def test_a_claim_is_where_it_says_and_its_rivals_are_other_things() -> None:
    sentence = "an olive windbreaker jacket, white background"
    for claim in find(sentence):
        assert sentence[claim.start : claim.end] == claim.value
        assert claim.value not in claim.rivals
        assert len(set(claim.rivals)) == len(claim.rivals) > 3
    garment = next(claim for claim in find(sentence) if claim.name == "garment")
    assert "jacket" not in garment.rivals  # a windbreaker jacket is one


def test_swapping_mends_the_article() -> None:
    sentence = "an olive cap"
    colour = find(sentence)[0]
    assert colour.swapped(sentence, "navy") == "a navy cap"
    assert find("a navy cap")[0].swapped("a navy cap", "orange") == "an orange cap"


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_template_makes_the_claims_of_its_slots(name: str) -> None:
    template = templates()[name]
    values = template.complete({})
    found = claims(scored_text(fill(template, {})), **values)
    assert {found["colour"], found["garment"], found["logo"]} == {
        values["colour"], values["product"], values["logo"],
    }  # fmt: skip


def test_the_bundled_models_words_are_all_known() -> None:
    first = {family[0] for family in attributes.GARMENTS}
    assert first == set(scene.GARMENTS)
    assert {family[0] for family in attributes.COLOURS} == set(scene.COLOURS)
    assert {family[0] for family in attributes.PATTERNS} == set(scene.PATTERNS)
    assert {family[0] for family in attributes.EMBLEMS} == set(scene.EMBLEMS)
    assert len(attributes.BACKGROUNDS) == len(scene.SETTINGS)


@pytest.mark.parametrize("unit", ["navy ", "a", "(", "navy and ", "on a "])
def test_the_longest_prompt_takes_no_noticeable_time(unit: str) -> None:
    start = time.process_time()
    find((unit * MAX_PROMPT_CHARACTERS)[:MAX_PROMPT_CHARACTERS])
    assert time.process_time() - start < 0.5
