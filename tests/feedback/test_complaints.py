"""Sentences as people write them: most are understood as they are meant, and what is not is said, never guessed."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from sdxl_lora import prompts
from sdxl_lora.errors import PromptError
from sdxl_lora.feedback.corrections import correct_text
from sdxl_lora.prompts import emphasis
from sdxl_lora.request import GenerationRequest

HERE = Path(__file__).parent
LOUDER = {"logo": "logo", "colour": "colour", "garment": "product", "pattern": "pattern"}


@dataclass(frozen=True)
class Outcome:
    """What became of one sentence: edits that were not wanted, and wanted ones that did not come."""

    sentence: str
    wrong: tuple[str, ...]
    missed: tuple[str, ...]


def jacket() -> GenerationRequest:
    template = prompts.get("jacket")
    slots = template.complete({})
    return GenerationRequest(
        prompt=prompts.fill(template, slots), template="jacket", slots=tuple(slots.items())
    )


def edits(text: str) -> set[str]:
    """What the sentence changes, in the words of the files; empty where it is not understood."""
    before = jacket()
    try:
        after = correct_text(before, text)[-1].request
    except PromptError:
        return set()
    found = set()
    for name, value in dict(after.slots).items():
        old = dict(before.slots)[name]
        if value == old:
            continue
        louder = emphasis.plain(value) == old
        said = next(key for key, slot in LOUDER.items() if slot == name) if louder else ""
        found.add(f"louder {said}" if louder else f"{name}={value}")
    there = before.negative_prompt.split(", ")
    found |= {
        f"negative {words}" for words in after.negative_prompt.split(", ") if words and words not in there
    }
    return found


def outcome(line: str) -> Outcome:
    sentence, _, expected = (part.strip() for part in line.partition("|"))
    wanted = {part.strip() for part in expected.split(";")} - {"?"}
    got = edits(sentence)
    # a complaint may keep more words out of the picture than the file names
    kept_out = {edit for edit in got if edit.startswith("negative ")}
    negative = {part for part in wanted if part.startswith("negative ")}
    met = {part for part in negative if any(part.removeprefix("negative ") in edit for edit in kept_out)}
    may_keep_out = bool(negative) or any(part.startswith(("louder", "logo=")) for part in wanted)
    wrong = (got - kept_out - wanted) | (set() if may_keep_out else kept_out)
    return Outcome(sentence, tuple(sorted(wrong)), tuple(sorted(wanted - met - got)))


def outcomes(name: str) -> list[Outcome]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [outcome(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("name", "most_wrong", "least_right"),
    [("complaints_tuned.txt", 0, 60), ("complaints_held_out.txt", 2, 54)],
)
def test_sentences_are_understood_as_they_are_meant(name: str, most_wrong: int, least_right: int) -> None:
    found = outcomes(name)
    assert len(found) == 60
    wrong = [one for one in found if one.wrong]
    assert len(wrong) <= most_wrong, wrong
    right = [one for one in found if not one.wrong and not one.missed]
    assert len(right) >= least_right, [one for one in found if one.missed]


def test_what_is_not_understood_of_a_sentence_is_said_and_changes_nothing() -> None:
    found = correct_text(jacket(), "make it red, and the vibe is off")
    assert [one.words for one in found] == [
        "colour: navy -> red",
        "not understood, and nothing changed for it: 'and the vibe is off'",
    ]
    assert found[1].request == found[0].request


@pytest.mark.parametrize(
    "sentence",
    [
        "don't remove the logo",
        "do not change the colour",
        "no need to change the logo",
        "never red",
        "I don't want it in red",
        "do not put the logo on the sleeve",
        "it must not be made of denim",
        "don't lay it flat",
        "I don't want a white background",
        "no white background",
        "remove the background",
        "the logo is too big",
        "smaller logo",
        "make the logo not bigger",
        "the picture is not blurry",
        "the hands are fine",
        "make everything but the logo red",
    ],
)
def test_what_is_forbidden_praised_or_denied_never_becomes_a_wish(sentence: str) -> None:
    assert edits(sentence) == set()


@pytest.mark.parametrize(
    ("sentence", "change"),
    [
        ("it must not have a logo", "logo="),
        ("please don't add a logo", "logo="),
        ("please avoid red", "negative red"),
        ("the picture does not show the logo", "louder logo"),
        ("the logo is not big enough", "louder logo"),
        ("the hands are fine but make it red", "colour=red"),
    ],
)
def test_what_is_wished_beside_a_negation_is_still_understood(sentence: str, change: str) -> None:
    assert change in edits(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Entferne das Logo",
        "kein Logo",
        "enlève le logo",
        "pas de logo",
        "quita el logo",
        "ロゴなし",
        "不要标志",
    ],
)
def test_the_logo_comes_off_in_other_languages(sentence: str) -> None:
    assert "logo=" in edits(sentence)


def test_the_logo_comes_off_without_a_template_too() -> None:
    request = GenerationRequest(prompt="a navy cap with a white star logo on the front, in a forest")
    found = correct_text(request, "remove the logo")[-1].request
    assert found.prompt == "a navy cap, in a forest"
    assert found.negative_prompt == "logo"


def test_a_place_that_the_template_does_not_offer_is_not_understood() -> None:
    with pytest.raises(PromptError, match="it is not clear what to change"):
        correct_text(jacket(), "put the logo near the hem")
