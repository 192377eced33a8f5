"""A card is read back from JSON as it was written, and so is everything that was written before there were cards."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdxl_lora.scoring.card import Finding, Gate, LoggedAttempt, ScoreCard, SearchLog, rank
from sdxl_lora.scoring.lettering import Lettering, OcrLine

BOX = ((1.0, 2.0), (3.0, 2.0), (3.0, 4.0), (1.0, 4.0))
FULL = ScoreCard(
    score=0.31,
    scorer="mini-CLIP cosine",
    text="a navy jacket",
    findings=(
        Finding(attribute="colour", wanted="navy", probability=0.9, rival="black", rival_probability=0.1),
    ),
    gates=(Gate(name="brand text", passed=None, reason="no lettering can be read"),),
    others={"held_out": ("HPS v2 (held out)", 27.5)},
    lettering=Lettering("misread", 0.8, "NORTHPEKA", (OcrLine("NORTHPEKA", 0.9, BOX),)),
    search=SearchLog(
        attempts=(
            LoggedAttempt(number=1, prompt="a navy jacket", seed=7, verdict="no picture", steps=3),
            LoggedAttempt(
                number=2, prompt="a navy jacket", seed=8, scorer="mini-CLIP cosine", score=0.31, steps=20
            ),
        ),
        kept=2,
        accepted=False,
        reason="the light",
        count=2,
    ),
)

# as the version before this class wrote it into database and PNG
WRITTEN: dict[str, Any] = {
    "clip": {"name": "mini-CLIP cosine", "value": 0.31, "text": "a navy jacket"},
    "attributes": {
        "name": "attributes shown",
        "value": 1.0,
        "findings": [
            {"attribute": "colour", "wanted": "navy", "probability": 0.9, "rival": "black", "rival_probability": 0.1}
        ],
    },
    "checks": {
        "name": "checks passed",
        "value": 1.0,
        "gates": [{"name": "brand text", "passed": None, "reason": "no lettering can be read"}],
    },
    "lettering": {
        "name": "brand lettering (OCR similarity)",
        "value": 0.8,
        "state": "misread",
        "text": "NORTHPEKA",
        "words": [{"text": "NORTHPEKA", "confidence": 0.9, "box": [[1.0, 2.0], [3.0, 2.0], [3.0, 4.0], [1.0, 4.0]]}],
    },
    "held_out": {"name": "HPS v2 (held out)", "value": 27.5},
    "attempts": {
        "name": "attempts",
        "value": 2,
        "accepted": False,
        "kept": 2,
        "reason": "the light",
        "by_taste": False,
        "log": [
            {"number": 1, "prompt": "a navy jacket", "seed": 7, "scores": {}, "accepted": False, "change": "",
             "kept": False, "verdict": "no picture", "steps": 3, "sketch": False, "finishes": 0},
            {"number": 2, "prompt": "a navy jacket", "seed": 8,
             "scores": {"clip": {"name": "mini-CLIP cosine", "value": 0.31}}, "accepted": False, "change": "",
             "kept": False, "verdict": "", "steps": 20, "sketch": False, "finishes": 0},
        ],
    },
}  # fmt: skip


def test_what_was_written_before_cards_is_read_whole_and_written_alike() -> None:
    read = ScoreCard.from_dict(WRITTEN)
    assert read.to_dict() == WRITTEN
    assert read.search is not None
    assert math.isnan(read.search.attempts[0].score)  # there was no picture
    assert (read.score, read.findings, read.gates, read.lettering) == (
        FULL.score, FULL.findings, FULL.gates, FULL.lettering,
    )  # fmt: skip


def test_a_card_survives_json() -> None:
    again = ScoreCard.from_dict(json.loads(json.dumps(FULL.to_dict(), allow_nan=False)))
    assert again == FULL
    assert ScoreCard.from_dict(ScoreCard().to_dict()) == ScoreCard()


def test_records_of_old_have_their_gates_with_the_attempts_and_no_sketches() -> None:
    gate = {"name": "colour", "passed": False, "reason": "navy 0.1 < black 0.8"}
    log = [{"number": 1, "change": "", "kept": False}]
    read = ScoreCard.from_dict(
        {"attempts": {"name": "attempts", "value": 3, "kept": 1, "log": log, "gates": [gate]}}
    )
    assert [found.name for found in read.failed] == ["colour"]
    assert read.search == SearchLog(attempts=(LoggedAttempt(number=1),), kept=1, accepted=False, count=3)


def test_a_score_without_a_name_is_still_a_score() -> None:
    assert ScoreCard.from_dict({"clip": {"value": 0.25}}).score == 0.25


@pytest.mark.parametrize(
    "damaged",
    [
        {"clip": 1, "attributes": [], "checks": "x", "lettering": None, "attempts": 3, "other": 4},
        {"clip": {"value": "high"}, "attributes": {"findings": [{"attribute": "colour"}, 3]}},
        {"lettering": {"state": "upside down"}, "checks": {"gates": [{"name": "x"}]}},
        {"lettering": {"state": "read", "words": [{"text": "x", "box": [1]}]}},
        {"attempts": {"log": [{}, {"number": "a"}]}},
    ],
)
def test_what_makes_no_sense_in_a_strangers_file_is_left_out(damaged: dict[str, Any]) -> None:
    read = ScoreCard.from_dict(damaged)
    assert not read.scored
    assert (read.findings, read.gates) == ((), ())
    json.dumps(read.to_dict(), allow_nan=False)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FINDINGS = st.builds(
    Finding,
    attribute=st.text(),
    wanted=st.text(),
    probability=NUMBERS,
    rival=st.text(),
    rival_probability=NUMBERS,
)
GATES = st.builds(Gate, name=st.text(), passed=st.sampled_from([True, False, None]), reason=st.text())


@given(
    score=NUMBERS,
    findings=st.lists(FINDINGS, max_size=3),
    gates=st.lists(GATES, max_size=3),
    others=st.dictionaries(st.sampled_from(["itm", "held_out"]), st.tuples(st.text(), NUMBERS)),
)
def test_any_card_is_read_as_it_was_written(
    score: float, findings: list[Finding], gates: list[Gate], others: dict[str, tuple[str, float]]
) -> None:
    card = ScoreCard(score=score, scorer="CLIP", findings=tuple(findings), gates=tuple(gates), others=others)
    assert ScoreCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card


def test_a_failed_check_outweighs_any_score() -> None:
    failed = ScoreCard(score=0.9, gates=(Gate(name="blank", passed=False, reason="x"),))
    assert rank(failed) < rank(ScoreCard(score=-0.9))
