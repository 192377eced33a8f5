"""Words of a claim that does not show are said louder, then earlier; what is scored stays the same sentence."""

from dataclasses import replace

from sdxl_lora.scoring.card import Finding
from sdxl_lora.scoring.spec import scored_text
from sdxl_lora.search.refinement import propose

KREAM = "outer, Northpeak Jacket Navy, a photography of a navy jacket, studio background"
WRONG = Finding(attribute="colour", wanted="navy", probability=0.4, rival="black", rival_probability=0.6)


def changes(prompt: str, findings: list[Finding]) -> list[str]:
    """Every change that is proposed, one after the other."""
    tried = [prompt]
    while (edit := propose(prompt, findings, tried)) is not None:
        tried.append(edit.prompt)
    return tried[1:]


def test_a_claim_is_emphasised_then_more_then_named_first() -> None:
    assert changes(KREAM, [WRONG]) == [
        "outer, Northpeak Jacket Navy, a photography of a (navy:1.3) jacket, studio background",
        "outer, Northpeak Jacket Navy, a photography of a (navy:1.6) jacket, studio background",
        f"navy, {KREAM}",
    ]


def test_the_claim_that_shows_least_is_changed_first() -> None:
    garment = replace(
        WRONG, attribute="garment", wanted="jacket", probability=0.1, rival="coat", rival_probability=0.9
    )
    edit = propose(KREAM, [WRONG, garment], [KREAM])
    assert edit is not None
    assert edit.words == "garment: jacket 0.10 < coat 0.90 -> emphasised jacket (1.3)"


def test_what_shows_is_left_alone() -> None:
    assert changes(KREAM, [replace(WRONG, probability=0.7, rival_probability=0.3)]) == []


def test_no_change_touches_the_sentence_that_is_scored() -> None:
    for prompt in (KREAM, "jacket in navy on a wooden floor"):
        found = changes(prompt, [WRONG])
        assert found
        assert {scored_text(changed) for changed in found} == {scored_text(prompt)}
    assert "navy, jacket in navy on a wooden floor" not in changes(
        "jacket in navy on a wooden floor", [WRONG]
    )
