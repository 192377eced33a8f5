"""Everything that is said of how good one picture is: from the verifier through the record to the page, one type.

A score is a number with the name of its judge; neither is shown without the other. `to_dict` is what records and PNG
files hold: key -> name, value, and what is behind it. Its layout is older than this class, so that every record ever
written is read, and a part of one that makes no sense is left out rather than an error.

    clip         the score pictures are compared by, and the short sentence that was scored
    attributes   share of the claims that show, and each with its probability
    checks       share of the hard gates that were passed, and each with its reason
    lettering    similarity of what was read to the brand, and every word with its box
    attempts     how many were made, and what became of each; only of best-of-N search
    others       by their own keys: reported, never chosen by
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from sdxl_lora.scoring.lettering import Lettering, OcrLine

GARMENT: Final = "garment"  # name of the gate, and of the claim
_GARMENT_WEIGHT = 100  # gates that a wrong garment weighs as much as; there are six others
PRIMARY: Final = "clip"  # key of the score pictures are compared by
_OWN_KEYS = (PRIMARY, "attributes", "checks", "lettering", "attempts")
_READABLE = ("read", "misread")
_STATES = ("read", "misread", "not readable")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How well one claim of the sentence shows."""

    attribute: str  # colour, garment, ...
    wanted: str  # the word of the sentence
    probability: float  # 0..1, over the wanted word and all its rivals; NaN for a blank picture
    rival: str  # the most probable other word
    rival_probability: float

    @property
    def right(self) -> bool:
        """Whether the wanted word is the most probable one."""
        return self.probability > self.rival_probability

    def __str__(self) -> str:
        sign = ">" if self.right else "<"
        return (
            f"{self.attribute}: {self.wanted} {self.probability:.2f} {sign}"
            f" {self.rival} {self.rival_probability:.2f}"
        )


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One thing that a picture must not get wrong."""

    name: str  # blank, garment, colour, brand text, white background or sharpness
    passed: bool | None  # None: cannot be told, which is no failure
    reason: str  # one line for the user


@dataclass(frozen=True, kw_only=True)
class LoggedAttempt:
    """One attempt of a search, as a record remembers it: enough to make it again, and what became of it."""

    number: int  # from 1
    prompt: str = ""
    seed: int | None = None
    scorer: str = ""  # "" where there was no picture
    score: float = math.nan
    accepted: bool = False
    change: str = ""  # what was changed before it
    kept: bool = False  # whether that change helped
    verdict: str = ""
    steps: int = 0
    sketch: bool = False
    finishes: int = 0  # number of the sketch it became of; 0 = none


@dataclass(frozen=True, kw_only=True)
class SearchLog:
    """How a picture was chosen among several attempts."""

    attempts: tuple[LoggedAttempt, ...]
    kept: int  # number of the attempt that is this picture
    accepted: bool  # whether it was good enough
    reason: str = ""  # why a person took it, though the search did not
    by_taste: bool = False  # chosen by the preference that votes taught
    count: int = 0  # attempts made; more than `attempts` only in records of old


@dataclass(frozen=True, kw_only=True)
class ScoreCard:
    """What was found out about one picture; without arguments: nothing, the picture was not scored."""

    score: float = math.nan  # of the judge that pictures are compared by; NaN: blank, or not scored
    scorer: str = ""  # the judge's name; stands beside the score wherever that is shown
    text: str = ""  # what was scored
    findings: tuple[Finding, ...] = ()
    gates: tuple[Gate, ...] = ()
    others: Mapping[str, tuple[str, float]] = field(default_factory=dict)  # key -> (judge's name, value)
    lettering: Lettering | None = None  # what was read on the picture; None where nobody looked
    search: SearchLog | None = None  # None: drawn once

    @property
    def scored(self) -> bool:
        """Whether there is a number to compare by."""
        return math.isfinite(self.score)

    @property
    def failed(self) -> tuple[Gate, ...]:
        """Gates that said no."""
        return tuple(gate for gate in self.gates if gate.passed is False)

    @property
    def faults(self) -> int:
        """How much the failed gates weigh: a wrong garment more than all others together."""
        return sum(_GARMENT_WEIGHT if gate.name == GARMENT else 1 for gate in self.failed)

    @property
    def weakest(self) -> Finding | None:
        """The claim that shows least, if any is not the most probable."""
        wrong = [finding for finding in self.findings if not finding.right]
        return min(wrong, key=lambda finding: finding.probability, default=None)

    @property
    def attributes(self) -> float:
        """Geometric mean of the claims' probabilities, 0..1; NaN without claims."""
        return overall(self.findings)

    @property
    def accuracy(self) -> float:
        """Share of claims that show, 0..1; NaN without claims."""
        return accuracy(self.findings)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """JSON-ready: numbers that are not finite are None."""
        scores: dict[str, dict[str, Any]] = {}
        if self.scorer:
            scores[PRIMARY] = {"name": self.scorer, "value": _finite(self.score), "text": self.text}
        if self.findings:
            scores["attributes"] = {
                "name": "attributes shown",
                "value": _finite(self.accuracy),
                "findings": [_plain(finding) for finding in self.findings],
            }
        if self.gates:
            passed = [gate.passed is not False for gate in self.gates]
            scores["checks"] = {
                "name": "checks passed",
                "value": sum(passed) / len(passed),
                "gates": [_plain(gate) for gate in self.gates],
            }
        if self.lettering is not None:
            scores["lettering"] = _lettering(self.lettering)
        scores |= {key: {"name": name, "value": _finite(value)} for key, (name, value) in self.others.items()}
        if self.search is not None:
            scores["attempts"] = _search(self.search)
        return scores

    @classmethod
    def from_dict(cls, scores: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`, and of what was written before this class; what makes no sense is left out."""
        primary, tried = _mapping(scores.get(PRIMARY)), _mapping(scores.get("attempts"))
        checks = _mapping(scores.get("checks")) or tried  # old records have their gates with the attempts
        return cls(
            score=_number(primary.get("value")),
            scorer=str(primary.get("name", "score")) if primary else "",
            text=str(primary.get("text", "")),
            findings=_each(_mapping(scores.get("attributes")).get("findings"), _read_finding),
            gates=_each(checks.get("gates"), _read_gate),
            others={
                str(key): (str(found.get("name", key)), _number(found.get("value")))
                for key, value in scores.items()
                if key not in _OWN_KEYS and (found := _mapping(value))
            },
            lettering=_read_lettering(_mapping(scores.get("lettering"))),
            search=_read_search(tried),
        )


def rank(card: ScoreCard) -> tuple[int, float]:
    """Larger is better; only for cards whose score is finite."""
    return -card.faults, card.score


def overall(findings: Sequence[Finding]) -> float:
    """Geometric mean of the wanted words' probabilities, 0..1; NaN without findings."""
    if not findings:
        return math.nan
    smallest = 1e-12  # a probability of 0 would hide all the others
    return math.exp(sum(math.log(max(f.probability, smallest)) for f in findings) / len(findings))


def accuracy(findings: Sequence[Finding]) -> float:
    """Share of claims whose wanted word is the most probable, 0..1; NaN without findings."""
    return sum(f.right for f in findings) / len(findings) if findings else math.nan


# ---------------------------------------------------------------- as JSON


def _lettering(read: Lettering) -> dict[str, Any]:
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


def _search(search: SearchLog) -> dict[str, Any]:
    return {
        "name": "attempts",
        "value": search.count or len(search.attempts),
        "accepted": search.accepted,
        "kept": search.kept,
        "reason": search.reason,
        "by_taste": search.by_taste,
        "log": [attempt_dict(one) for one in search.attempts],
    }


def attempt_dict(attempt: LoggedAttempt) -> dict[str, Any]:
    """One attempt, JSON-ready."""
    values = _plain(attempt)
    name, value = values.pop("scorer"), values.pop("score")
    return values | {"scores": {PRIMARY: {"name": name, "value": value}} if name else {}}


def _plain(value: Any) -> dict[str, Any]:
    return {key: _finite(item) if isinstance(item, float) else item for key, item in vars(value).items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------- from JSON


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float:
    """NaN for what is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _each(values: Any, read: Callable[[Mapping[str, Any]], T]) -> tuple[T, ...]:
    """Every entry that can be read."""
    found = []
    for value in values if isinstance(values, list | tuple) else ():
        try:
            found.append(read(_mapping(value)))
        except (KeyError, TypeError, ValueError):
            continue
    return tuple(found)


def _read_finding(value: Mapping[str, Any]) -> Finding:
    return Finding(
        attribute=str(value["attribute"]),
        wanted=str(value["wanted"]),
        probability=_number(value["probability"]),
        rival=str(value["rival"]),
        rival_probability=_number(value["rival_probability"]),
    )


def _read_gate(value: Mapping[str, Any]) -> Gate:
    passed = value["passed"]
    return Gate(
        name=str(value["name"]),
        passed=passed if isinstance(passed, bool) else None,
        reason=str(value.get("reason", "")),
    )


def _read_lettering(value: Mapping[str, Any]) -> Lettering | None:
    state = value.get("state")
    if state not in _STATES:
        return None
    similarity = _number(value.get("value"))
    return Lettering(
        state,
        similarity if math.isfinite(similarity) else 0.0,
        str(value.get("text", "")),
        _each(value.get("words"), _read_words),
    )


def _read_words(value: Mapping[str, Any]) -> OcrLine:
    box = tuple((float(x), float(y)) for x, y in value["box"])
    return OcrLine(str(value["text"]), _number(value.get("confidence")), box)


def _read_search(value: Mapping[str, Any]) -> SearchLog | None:
    if not value:
        return None
    attempts, kept, count = _each(value.get("log"), read_attempt), value.get("kept"), value.get("value")
    return SearchLog(
        attempts=attempts,
        kept=kept if isinstance(kept, int) else 0,
        accepted=value.get("accepted") is True,
        reason=str(value.get("reason") or ""),
        by_taste=value.get("by_taste") is True,
        count=count if isinstance(count, int) else len(attempts),
    )


def read_attempt(value: Mapping[str, Any]) -> LoggedAttempt:
    """Inverse of `attempt_dict`. Raises `KeyError`, `TypeError`, `ValueError`."""
    score, seed = _mapping(_mapping(value.get("scores")).get(PRIMARY)), value.get("seed")
    return LoggedAttempt(
        number=int(value["number"]),
        prompt=str(value.get("prompt", "")),
        seed=seed if isinstance(seed, int) else None,
        scorer=str(score.get("name", "")),
        score=_number(score.get("value")),
        accepted=value.get("accepted") is True,
        change=str(value.get("change", "")),
        kept=value.get("kept") is True,
        verdict=str(value.get("verdict", "")),
        steps=int(value.get("steps") or 0),
        sketch=value.get("sketch") is True,
        finishes=int(value.get("finishes") or 0),
    )
