"""Which CLIP judges whose pictures."""

import shutil
from pathlib import Path

import pytest

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.scoring.base import default_scorer, judge_of_strangers, scorer_for
from sdxl_lora.scoring.blip import BlipScorer
from sdxl_lora.scoring.verifier import verifier_for


def test_the_bundled_model_is_judged_by_its_own_clip_whatever_was_fetched(
    home: Path, tiny_clip: Path
) -> None:
    shutil.copytree(tiny_clip, home / "metrics" / "clip336")
    assert scorer_for("mini") is default_scorer()


def test_other_models_are_judged_by_the_best_clip_that_was_fetched(home: Path, tiny_clip: Path) -> None:
    assert scorer_for("sdxl") is judge_of_strangers()
    shutil.copytree(tiny_clip, home / "metrics" / "clip")
    assert scorer_for("sdxl").name == "CLIP ViT-B/32 cosine"
    shutil.copytree(tiny_clip, home / "metrics" / "clip336")
    found = scorer_for("sdxl")
    assert found.name == "CLIP ViT-L/14 336 px cosine"
    assert found is scorer_for("sd14")
    assert found.logit_scale() > 0


def test_a_setting_names_another_one_which_is_never_fetched_unasked(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_CLIP", str(tiny_clip))
    assert scorer_for("sdxl").logit_scale() > 0
    assert scorer_for("mini") is default_scorer()
    monkeypatch.setenv("SDXL_LORA_CLIP", "nowhere/at-all")
    with pytest.raises(
        ModelUnavailableError, match="nowhere/at-all is not here or not whole; run `hf download"
    ):
        scorer_for("sdxl").logit_scale()


def test_what_was_fetched_is_reported_beside_the_score(
    home: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verifier_for("sdxl").others == ()
    (home / "metrics" / "blip").mkdir(parents=True)
    monkeypatch.setenv("SDXL_LORA_HELD_OUT", str(tiny_clip))
    others = verifier_for("sdxl").others
    assert [scorer.key for scorer in others] == ["blip_itm", "blip_itc", "held_out"]
    assert isinstance(others[0], BlipScorer)
    assert [scorer.key for scorer in verifier_for("mini").others] == ["held_out"]
