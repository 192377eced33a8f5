"""Probes are the model's own softmax over the sentence and its variants; blank pictures have none."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

from sdxl_lora.prompts import attributes
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.card import Finding, accuracy, overall
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.scoring.probes import ProbeScorer

SENTENCE = "an olive cap, in a forest"


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def probes(tiny_clip: Path) -> ProbeScorer:
    return ProbeScorer(ClipScorer(tiny_clip, name="tiny-CLIP cosine"))


def finding(probability: float, rival: float) -> Finding:
    return Finding(
        attribute="colour", wanted="navy", probability=probability, rival="black", rival_probability=rival
    )


def test_probabilities_are_the_models_own_logits_through_a_softmax(
    probes: ProbeScorer, tiny_clip: Path
) -> None:
    image = noise(1)
    model = CLIPModel.from_pretrained(tiny_clip).eval()
    [found] = probes.probe([image], SENTENCE)
    for claim, seen in zip(attributes.find(SENTENCE), found, strict=True):
        texts = [SENTENCE, *(claim.swapped(SENTENCE, rival) for rival in claim.rivals)]
        inputs = CLIPProcessor.from_pretrained(tiny_clip)(
            text=texts, images=[image], return_tensors="pt", padding=True
        )
        with torch.inference_mode():
            expected = model(**inputs).logits_per_image.softmax(dim=-1)[0].tolist()
        # the reference's processor may resize with torchvision, ours with Pillow
        assert seen.probability == pytest.approx(expected[0], abs=2e-3)
        assert seen.rival_probability == pytest.approx(max(expected[1:]), abs=2e-3)
        assert (seen.attribute, seen.wanted) == (claim.name, claim.value)


def test_pictures_are_judged_alike_alone_and_together(probes: ProbeScorer) -> None:
    images = [noise(seed) for seed in range(3)]
    together = probes.probe(images, SENTENCE)
    assert len(together) == 3
    for image, found in zip(images, together, strict=True):
        [alone] = probes.probe([image], SENTENCE)
        assert [f.probability for f in found] == pytest.approx([f.probability for f in alone], abs=1e-5)


def test_a_claim_far_behind_in_the_text_is_judged_by_what_stands_around_it(probes: ProbeScorer) -> None:
    long = "a photo, " * 60 + SENTENCE
    [short_found], [long_found] = probes.probe([noise(1)], SENTENCE), probes.probe([noise(1)], long)
    assert [found.wanted for found in long_found] == [found.wanted for found in short_found]
    # the model reads 75 tokens at once: cut there, the sentence and all its variants would be equal
    assert all(found.probability != pytest.approx(found.rival_probability) for found in long_found)


def test_the_score_is_the_geometric_mean_and_nan_without_claims_or_a_picture(probes: ProbeScorer) -> None:
    scorer: Scorer = probes
    assert (scorer.key, scorer.name) == ("attributes", "tiny-CLIP attributes")
    one, nothing, blank = scorer.score(
        [noise(1), noise(2), Image.new("RGB", (40, 40))], [SENTENCE, "something", SENTENCE]
    )
    [found] = probes.probe([noise(1)], SENTENCE)
    assert one == pytest.approx(math.prod(f.probability for f in found) ** (1 / len(found)), rel=1e-3)
    assert math.isnan(nothing)
    assert math.isnan(blank)


def test_a_finding_says_in_words_what_was_seen_instead() -> None:
    assert str(finding(0.41, 0.52)) == "colour: navy 0.41 < black 0.52"
    assert str(finding(0.52, 0.41)) == "colour: navy 0.52 > black 0.41"
    assert (finding(0.41, 0.52).right, finding(0.52, 0.41).right) == (False, True)


def test_accuracy_is_the_share_of_claims_that_show() -> None:
    assert accuracy([finding(0.9, 0.1), finding(0.1, 0.9)]) == 0.5
    assert math.isnan(accuracy([]))
    assert overall([finding(0.25, 0.1), finding(1.0, 0.0)]) == pytest.approx(0.5)
