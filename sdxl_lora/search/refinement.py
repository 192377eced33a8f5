"""Which words of the prompt to change, and back again if it did not help.

The claim that shows least is said louder: first with emphasis, then with more, then by moving it to the front,
where text encoders listen most. A change is tried on the seed of the best picture so far, so that prompt and luck are
not confused, and kept only if the claim shows better and the score is no worse. Pure logic: strings in, strings
out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sdxl_lora.prompts import emphasis
from sdxl_lora.request import ResolvedRequest
from sdxl_lora.scoring.card import Finding, ScoreCard, rank
from sdxl_lora.scoring.spec import scored_text, subject_start

WEIGHTS = (1.3, 1.6)  # tried in turn


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change of a prompt."""

    prompt: str
    attribute: str
    words: str  # why and what, e.g. "colour: navy 0.41 < black 0.52 -> emphasised navy"

    def apply(self, request: ResolvedRequest) -> ResolvedRequest:
        """The request with the changed prompt."""
        return replace(request, prompt=self.prompt)


def propose(prompt: str, findings: Sequence[Finding], tried: Sequence[str]) -> Edit | None:
    """The next change for the weakest claim; None where nothing is wrong or everything was tried.

    No change touches the sentence that is scored, or scores before and after could not be compared.

    Args:
        tried: prompts that were tried already.
    """
    wrong = sorted((f for f in findings if not f.right), key=lambda finding: finding.probability)
    for finding in wrong:
        for changed, what in _variants(prompt, finding.wanted):
            if changed != prompt and changed not in tried and scored_text(changed) == scored_text(prompt):
                return Edit(prompt=changed, attribute=finding.attribute, words=f"{finding} -> {what}")
    return None


def helped(attribute: str, before: ScoreCard, after: ScoreCard) -> bool:
    """Whether a change was worth keeping: the claim shows better, and the picture is no worse."""
    return _probability(attribute, after) > _probability(attribute, before) and rank(after) >= rank(before)


def _variants(prompt: str, phrase: str) -> list[tuple[str, str]]:
    """(changed prompt, what was done) from mild to strong."""
    start = subject_start(prompt)  # not the product's name before it
    louder = [
        (emphasis.emphasise(prompt, phrase, weight, start=start), f"emphasised {phrase} ({weight:g})")
        for weight in WEIGHTS
    ]
    first = f"{phrase}, {prompt}"
    moved = first if not prompt.lower().startswith(phrase.lower()) else prompt
    return [*louder, (moved, f"named {phrase} first")]


def _probability(attribute: str, judgement: ScoreCard) -> float:
    return next((f.probability for f in judgement.findings if f.attribute == attribute), 0.0)
