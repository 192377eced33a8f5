"""Everything there is to say about a picture: one soft score, the attributes behind it, and hard gates.

The score is what is compared with a threshold. A gate is a plain "no" that no score makes up for: a blank picture,
a misread brand, the wrong colour, a background that should be white and is not. What cannot be judged here (no OCR,
weights that are missing) is said once in `notices` and never counts against a picture.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.models import registry
from sdxl_lora.models.capabilities import Capabilities, split
from sdxl_lora.prompts import emphasis
from sdxl_lora.prompts.attributes import WHITE_BACKGROUND
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring import blip, checks, held_out, lettering, limits
from sdxl_lora.scoring.base import Scorer, default_scorer, scorer_for
from sdxl_lora.scoring.card import GARMENT, Finding, Gate, ScoreCard, rank
from sdxl_lora.scoring.lettering import Lettering
from sdxl_lora.scoring.limits import Limits
from sdxl_lora.scoring.probes import ProbeScorer, probes_of
from sdxl_lora.scoring.spec import scored_text

WHITE_SHARE = 0.95  # of the border, where a white background was asked for: leaves room for a shadow
MAJORITY = 0.5  # probability from which another word is what shows: more than all others together


class Verifier:
    """Judges pictures of requests; batched, may be called by several threads."""

    def __init__(
        self,
        primary: Scorer,
        *,
        probes: ProbeScorer | None = None,
        others: Sequence[Scorer] = (),
        gates: bool = True,
        read_brand: bool = False,
        least_sharpness: float | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        """Args:
        primary: what thresholds are compared with.
        others: reported, never optimised.
        gates: False leaves only the gate of blank pictures.
        read_brand: OCR, about a second per picture; the bundled model draws no letters.
        least_sharpness: from a calibration; None = not a gate.
        capabilities: of the model that drew the pictures: what it cannot draw is not taken for shown; None = any model.
        """
        self.primary = primary
        self.probes = probes
        self.others = tuple(others)
        self._gates = gates
        self._reads_brand = read_brand
        self._least_sharpness = least_sharpness
        self._capabilities = capabilities or Capabilities()
        self._notices: dict[str, None] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """What could not be judged so far, one line each."""
        return tuple(self._notices)

    def judge(
        self, images: Sequence[Image.Image], request: GenerationRequest, *, sketch: bool = False
    ) -> list[ScoreCard]:
        """One judgement per picture of `request`. Raises `ModelUnavailableError` if the primary cannot score.

        Args:
            sketch: drawn with few steps, so that neither sharpness nor lettering can be asked of it, and what is only
                reported is left out.
        """
        prompt = emphasis.plain(request.prompt)
        text, slots = scored_text(prompt), dict(request.slots)
        texts = [text] * len(images)
        scores = self.primary.score(images, texts)
        met = limits.of_capabilities(self._capabilities, request.model, prompt, slots)
        findings = [_tellable(found, met) for found in self._probe(images, text, slots)]
        reported = () if sketch else self.others
        others = {scorer.key: (scorer.name, self._other(scorer, images, texts)) for scorer in reported}
        brand = slots.get("brand", "")
        read = [None if sketch else self._read(image, brand) for image in images]
        sharpness = None if sketch else self._least_sharpness
        return [
            ScoreCard(
                score=scores[i],
                scorer=self.primary.name,
                text=text,
                findings=findings[i],
                gates=tuple(self._gate(image, findings[i], met, prompt, read[i], brand, sharpness)),
                others={key: (name, values[i]) for key, (name, values) in others.items() if values},
                lettering=read[i],
            )
            for i, image in enumerate(images)
        ]

    def _probe(
        self, images: Sequence[Image.Image], text: str, slots: dict[str, str]
    ) -> list[tuple[Finding, ...]]:
        return [()] * len(images) if self.probes is None else self.probes.probe(images, text, slots)

    def _other(self, scorer: Scorer, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """Scores, or nothing where the scorer's weights are missing."""
        try:
            return scorer.score(images, texts)
        except ModelUnavailableError as error:
            self._notices[f"{scorer.name} is left out: {error}"] = None
            return []

    def _read(self, image: Image.Image, brand: str) -> Lettering | None:
        """What is written on the picture, where a brand was asked for and its name can be looked for."""
        if not self._reads_brand or not brand or checks.blank_reason(image) is not None:
            return None
        try:
            return lettering.BrandTextScorer().read(image, brand)
        except ModelUnavailableError as error:
            self._notices[f"the brand's lettering is not read: {error}"] = None
            return None

    def _gate(
        self,
        image: Image.Image,
        findings: Sequence[Finding],
        met: Limits,
        prompt: str,
        read: Lettering | None,
        brand: str,
        least_sharpness: float | None,
    ) -> list[Gate]:
        blank = checks.blank_reason(image)
        if blank is not None:
            return [Gate(name="blank", passed=False, reason=blank)]
        gates = [] if met.draws_product else [_not_drawn(met)]
        if not self._gates:
            return gates
        for name in (GARMENT, "colour"):
            gates += [_majority(finding) for finding in findings if finding.attribute == name]
        if any(words in prompt.lower() for words in WHITE_BACKGROUND):
            gates.append(_white(image))
        if read is not None:
            gates.append(_brand(read, brand))
        if least_sharpness is not None:
            gates.append(_sharp(image, least_sharpness))
        return gates


def default_verifier(
    *,
    others: Sequence[Scorer] = (),
    gates: bool = True,
    read_brand: bool = False,
    least_sharpness: float | None = None,
) -> Verifier:
    """The bundled mini CLIP scores and probes."""
    clip = default_scorer()
    return Verifier(
        clip,
        probes=probes_of(clip),
        others=others,
        gates=gates,
        read_brand=read_brand,
        least_sharpness=least_sharpness,
    )


def verifier_for(model: str) -> Verifier:
    """The usual verifier of a model's pictures: `scorer_for` it, with everything reported that is on this machine."""
    clip = scorer_for(model)
    return Verifier(
        clip,
        probes=probes_of(clip),
        others=reported_for(model),
        capabilities=registry.capabilities_of(model),
    )


def reported_for(model: str) -> tuple[Scorer, ...]:
    """What stands beside the score and is never chosen by: BLIP where it was fetched, and the held-out judge."""
    others: list[Scorer] = []
    if registry.capabilities_of(model).judge is None and blip.default_folder().is_dir():
        network = _blip(blip.default_folder())
        others += [blip.BlipScorer(network, "itm"), blip.BlipScorer(network, "itc")]
    judge = held_out.chosen()
    return tuple(others if judge is None else [*others, judge])


@functools.lru_cache(maxsize=1)
def _blip(folder: Path) -> blip.BlipModel:
    return blip.BlipModel(folder)


def best_of(cards: Sequence[ScoreCard]) -> int | None:
    """Index of the best: least wrong, then the highest score; never a blank one, None if all are."""
    usable = [i for i, j in enumerate(cards) if math.isfinite(j.score)]
    return max(usable, key=lambda i: rank(cards[i]), default=None)


def _majority(finding: Finding) -> Gate:
    wrong = not finding.right and finding.rival_probability >= MAJORITY
    return Gate(name=finding.attribute, passed=not wrong, reason=str(finding))


def _not_drawn(met: Limits) -> Gate:
    words = ", ".join(word.word for word in met.unknown)
    reason = f"{met.model} does not draw what was asked for" + (f": {words}" if words else "")
    return Gate(name=GARMENT, passed=False, reason=reason)


def _tellable(findings: tuple[Finding, ...], met: Limits) -> tuple[Finding, ...]:
    """Without claims of words that the model was never shown: a judge trained beside it cannot know them either."""
    unknown = {word.word for word in met.unknown}
    return tuple(found for found in findings if not unknown & set(split(found.wanted)))


def _brand(read: Lettering, brand: str) -> Gate:
    reasons = {
        "read": f"reads {brand}",
        "misread": f"reads {read.text!r}, which is not {brand}",
        "not readable": "no lettering can be read; it may be a mark without letters",
    }
    passed = {"read": True, "misread": False, "not readable": None}[read.state]
    return Gate(name="brand text", passed=passed, reason=reasons[read.state])


def _white(image: Image.Image) -> Gate:
    found = checks.backdrop(image)
    return Gate(
        name="white background",
        passed=found.white >= WHITE_SHARE,
        reason=f"{found.white:.0%} of the border is white; the product fills {found.fill:.0%} of the frame",
    )


def _sharp(image: Image.Image, least: float) -> Gate:
    value = checks.sharpness(image)
    reason = f"sharpness {value:.2f}; pictures of this model and template have {least:.2f} or more"
    return Gate(name="sharpness", passed=value >= least, reason=reason)
