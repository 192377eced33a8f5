"""Thresholds come from the pictures' own scores, and sketches are drawn only where they pay."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdxl_lora.errors import DataError
from sdxl_lora.search import Policy, Sketching
from sdxl_lora.search.calibration import Calibration, Calibrations, SketchSample
from sdxl_lora.search.levels import LEVELS, policy_of

SCORES = tuple(i / 100 for i in range(21))
PROMPTS = tuple("abc"[i % 3] for i in range(21))


def calibration(template: str = "jacket", sketches: tuple[SketchSample, ...] = ()) -> Calibration:
    return Calibration(
        model="mini",
        template=template,
        scorer="mini-CLIP cosine",
        scores=SCORES,
        prompts=PROMPTS,
        sharpness=tuple(0.5 + i / 100 for i in range(51)),
        sketches=sketches,
    )


def test_the_threshold_is_a_quantile_of_the_scores() -> None:
    assert calibration().threshold() == pytest.approx(0.13)
    assert calibration().threshold(0.8) == pytest.approx(0.16)
    assert calibration().least_sharpness == pytest.approx(0.51)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="7 pictures with a score say too little"):
        Calibration(model="mini", template="", scorer="x", scores=SCORES[:7], prompts=PROMPTS[:7])


def test_a_calibration_with_rows_of_other_lengths_is_refused() -> None:
    for sample in (
        SketchSample(steps=4, scores=SCORES[:20]),
        SketchSample(steps=4, scores=SCORES, finished=SCORES[:20]),
    ):
        with pytest.raises(DataError, match="not the same number"):
            calibration(sketches=(sample,))


def test_the_sketches_are_drawn_that_pay_most() -> None:
    noise = tuple(np.random.default_rng(0).random(21).tolist())
    good = SketchSample(steps=4, scores=tuple(2 * s for s in SCORES))
    dearer = SketchSample(steps=6, scores=SCORES)
    poor = SketchSample(steps=2, scores=noise)
    assert abs(poor.correlation(SCORES, PROMPTS)) < 0.5
    found = calibration(sketches=(dearer, poor, good)).sketching(20)
    assert found is not None
    assert found == Sketching(steps=4, gain=found.gain)
    assert found.gain == pytest.approx(-0.1)
    assert calibration(sketches=(dearer,)).sketching(20).steps == 6  # type: ignore[union-attr]  # it pays


def test_there_are_no_sketches_where_they_cost_too_much() -> None:
    found = calibration(sketches=(SketchSample(steps=4, scores=SCORES),))
    assert found.sketching(9) is None  # two sketches for a picture: choosing among them is two pictures' gain
    assert found.sketching(12) is not None


def test_sketches_that_can_be_finished_pay_more() -> None:
    anew = SketchSample(steps=6, scores=SCORES)
    finished = replace(anew, finished=SCORES)
    assert finished.advantage(SCORES, PROMPTS, 20) > anew.advantage(SCORES, PROMPTS, 20)
    assert calibration(sketches=(finished,)).sketching(20) == Sketching(steps=6, gain=0.0, finishing=10)


def test_sketches_that_lead_to_worse_pictures_pay_less() -> None:
    finished = SketchSample(steps=6, scores=SCORES, finished=SCORES)
    worse = replace(finished, finished=tuple(score - 0.1 for score in SCORES))
    assert worse.correlation(SCORES, PROMPTS) == finished.correlation(SCORES, PROMPTS)
    assert worse.advantage(SCORES, PROMPTS, 20) < finished.advantage(SCORES, PROMPTS, 20)
    found = calibration(sketches=(worse, finished)).sketching(20)
    assert found is not None
    assert found.gain == 0.0


def test_finished_pictures_of_a_model_count_where_all_its_templates_have_them(home: Path) -> None:
    kept, finished = Calibrations(home), SketchSample(steps=6, scores=SCORES, finished=SCORES)
    kept.keep(calibration("jacket", (finished,)))
    kept.keep(calibration("dress", (finished,)))
    pooled = kept.pooled("mini", "mini-CLIP cosine")
    assert pooled is not None
    assert pooled.sketches[0].finished == SCORES * 2
    kept.keep(calibration("dress", (SketchSample(steps=6, scores=SCORES),)))
    pooled = kept.pooled("mini", "mini-CLIP cosine")
    assert pooled is not None
    assert pooled.sketches[0].finished == ()


def test_there_are_no_sketches_where_they_foretell_nothing() -> None:
    flat = SketchSample(steps=4, scores=(0.1,) * 21)
    reverse = SketchSample(steps=6, scores=SCORES[::-1])
    assert math.isnan(flat.correlation(SCORES, PROMPTS))
    assert reverse.correlation(SCORES, PROMPTS) == pytest.approx(-1)
    assert calibration(sketches=(flat, reverse)).sketching(20) is None


def test_a_few_pictures_do_not_prove_that_sketches_foretell() -> None:
    sketches = (SketchSample(steps=4, scores=(0.0, 0.02, 0.01, 0.04, 0.03, 0.06, 0.05, 0.07)),)
    few = Calibration(
        model="mini", template="", scorer="x", scores=SCORES[:8], prompts=("a",) * 8, sketches=sketches
    )
    assert sketches[0].advantage(few.scores, few.prompts, 20) > 1
    assert few.sketching(20) is None


def test_a_difference_between_prompts_foretells_nothing_about_seeds() -> None:
    prompts = ("a",) * 10 + ("b",) * 10
    rng = np.random.default_rng(3)
    early = tuple((rng.random(20) + np.repeat([0, 9], 10)).tolist())
    late = tuple((rng.random(20) + np.repeat([0, 9], 10)).tolist())
    sample = SketchSample(steps=4, scores=early)
    assert sample.correlation(late, ("same",) * 20) > 0.7
    assert abs(sample.correlation(late, prompts)) < 0.5
    assert math.isnan(sample.correlation(late, tuple(map(str, range(20)))))


def test_calibrations_are_kept_by_model_template_and_scorer(home: Path) -> None:
    kept = Calibrations(home)
    assert list(kept) == []
    kept.keep(calibration())
    kept.keep(calibration("dress", (SketchSample(steps=4, scores=SCORES),)))
    kept.keep(calibration())
    assert len(list(kept)) == 2
    assert kept.find("mini", "dress", "mini-CLIP cosine") == calibration(
        "dress", (SketchSample(steps=4, scores=SCORES),)
    )
    assert kept.find("mini", None, "mini-CLIP cosine") is None
    assert kept.find("mini", "jacket", "another") is None


def test_prompts_without_a_calibration_are_measured_by_all_templates_of_the_model(home: Path) -> None:
    kept = Calibrations(home)
    assert kept.pooled("mini", "mini-CLIP cosine") is None
    kept.keep(calibration(sketches=(SketchSample(steps=4, scores=SCORES),)))
    kept.keep(calibration("dress"))
    found = kept.pooled("mini", "mini-CLIP cosine")
    assert found is not None
    assert (len(found.scores), found.template, found.sketches) == (42, "", ())  # one has none
    kept.keep(
        calibration("dress", (SketchSample(steps=4, scores=SCORES), SketchSample(steps=6, scores=SCORES)))
    )
    found = kept.pooled("mini", "mini-CLIP cosine")
    assert found is not None
    assert [(sample.steps, len(sample.scores)) for sample in found.sketches] == [(4, 42)]
    assert found.threshold() == pytest.approx(calibration().threshold(), abs=0.01)
    assert kept.pooled("mini", "another") is None


def test_a_damaged_file_says_what_to_do(home: Path) -> None:
    home.mkdir()
    for text in ("{", "[{}]", "[1]", "3"):
        (home / "calibrations.json").write_text(text)
        with pytest.raises(DataError, match="is damaged; delete it and calibrate again"):
            list(Calibrations(home))


def test_levels_ask_for_more_the_stricter_they_are_and_the_users_numbers_win() -> None:
    policies = [policy_of(LEVELS[name], calibration()) for name in ("draft", "standard", "strict")]
    thresholds = [policy.threshold for policy in policies]
    assert thresholds == sorted(thresholds, key=lambda t: t or 0.0)
    assert [policy.max_attempts for policy in policies] == [2, 4, 8]
    own = policy_of(LEVELS["strict"], calibration(), min_score=0.9, max_attempts=3)
    assert (own.threshold, own.max_attempts) == (0.9, 3)
    assert policy_of(LEVELS["standard"], None) == Policy()
