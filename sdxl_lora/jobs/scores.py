"""What a record keeps of a judgement, in the layout of `Record.scores`: key -> name, value, and what is behind it.

clip         the score pictures are compared by, and the short sentence that was scored
attributes   share of the claims that show, and each with its probability
checks       share of the hard gates that were passed, and each with its reason
lettering    similarity of what was read to the brand, and every word with its box
attempts     how many were made, and what became of each; only of the loop
others       by their own keys: reported, never chosen by
"""

from collections.abc import Sequence
from typing import Any

from sdxl_lora.scoring.lettering import Lettering
from sdxl_lora.scoring.verifier import Judgement
from sdxl_lora.search import Attempt

Scores = dict[str, dict[str, Any]]
_READABLE = ("read", "misread")


def of_judgement(judgement: Judgement) -> Scores:
    """The scores of one picture; JSON-ready but for NaN."""
    scores: Scores = {
        "clip": {"name": judgement.scorer, "value": judgement.score, "text": judgement.text},
    }
    if judgement.findings:
        scores["attributes"] = {
            "name": "attributes shown",
            "value": judgement.accuracy,
            "findings": [vars(finding) for finding in judgement.findings],
        }
    if judgement.gates:
        passed = [gate.passed is not False for gate in judgement.gates]
        scores["checks"] = {
            "name": "checks passed",
            "value": sum(passed) / len(passed),
            "gates": [vars(gate) for gate in judgement.gates],
        }
    if judgement.lettering is not None:
        scores["lettering"] = of_lettering(judgement.lettering)
    return scores | {key: {"name": name, "value": value} for key, (name, value) in judgement.others.items()}


def of_attempt(
    attempt: Attempt, attempts: Sequence[Attempt], *, reason: str = "", by_taste: bool = False
) -> Scores:
    """The scores of the attempt that is kept, with the log of all, and why this one if not by its score."""
    if attempt.judgement is None:
        return {}
    tried = {
        "name": "attempts",
        "value": len(attempts),
        "accepted": attempt.accepted,
        "kept": attempt.number,
        "reason": reason,
        "by_taste": by_taste,
        "log": [log_of(one) for one in attempts],
    }
    return {**of_judgement(attempt.judgement), "attempts": tried}


def of_lettering(read: Lettering) -> dict[str, Any]:
    """What was read on a picture; the similarity is 0 where nothing like the brand was."""
    return {
        "name": "brand lettering (OCR similarity)",
        "value": read.similarity if read.state in _READABLE else 0.0,
        "state": read.state,
        "text": read.text,
        "words": [
            {"text": word.text, "confidence": word.confidence, "box": [list(corner) for corner in word.box]}
            for word in read.words
        ],
    }


def log_of(attempt: Attempt) -> dict[str, Any]:
    """One attempt, JSON-ready but for NaN."""
    judgement = attempt.judgement
    return {
        "number": attempt.number,
        "prompt": attempt.request.prompt,
        "seed": attempt.request.seed,
        "scores": {"clip": {"name": judgement.scorer, "value": judgement.score}} if judgement else {},
        "accepted": attempt.accepted,
        "change": attempt.change,
        "kept": attempt.kept,
        "verdict": attempt.verdict,
        "steps": attempt.steps,
        "sketch": attempt.sketch,
        "finishes": attempt.finishes,
    }
