"""A judge that is reported and never chosen by."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import ScoreCard, rank
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.scoring.held_out import CANONICAL, HeldOutScorer, chosen
from sdxl_lora.scoring.verifier import Verifier, best_of
from tests import tiny


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8))


def test_it_is_a_hundred_times_the_cosine_of_its_own_model(tiny_clip: Path) -> None:
    images, texts = [noise(1), noise(2), Image.new("RGB", (40, 40))], ["a cap", "a coat", "a cap"]
    found = HeldOutScorer(tiny_clip).score(images, texts)
    assert found[:2] == pytest.approx(
        [100 * value for value in ClipScorer(tiny_clip).score(images, texts)[:2]]
    )
    assert math.isnan(found[2])


def test_without_weights_it_says_where_they_come_from_and_asks_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SDXL_LORA_HELD_OUT", raising=False)
    scorer = HeldOutScorer()
    assert scorer.name == "HPS v2 (held out)"
    with pytest.raises(
        ModelUnavailableError, match=f"{CANONICAL} is not here or not whole; run `hf download"
    ):
        scorer.score([noise(1)], ["a cap"])
    with pytest.raises(ModelUnavailableError, match="is not here or not whole"):
        HeldOutScorer(tmp_path).score([noise(1)], ["a cap"])
    assert chosen() is None


def test_it_is_chosen_by_a_setting_once_per_process(tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_HELD_OUT", str(tiny_clip))
    scorer = chosen()
    assert scorer is not None
    assert scorer is chosen()
    assert scorer.name == f"{tiny_clip.name} (held out)"


def test_the_panel_reports_it_and_no_choice_depends_on_it(tiny_clip: Path, tmp_path: Path) -> None:
    clip = ClipScorer(tiny_clip)
    asked = GenerationRequest(prompt="a navy cap")
    [judged] = Verifier(clip, others=[HeldOutScorer(tiny_clip)]).judge([noise(1)], asked)
    name, value = judged.others["held_out"]
    assert name.endswith("(held out)")
    assert value == pytest.approx(100 * judged.score)
    [plain] = Verifier(clip).judge([noise(1)], asked)
    assert rank(judged) == rank(plain)
    liked = ScoreCard(score=0.1, scorer="x", text="", others={"held_out": ("h", 99.0)})
    assert best_of([liked, ScoreCard(score=0.2, scorer="x", text="")]) == 1


def test_a_missing_one_leaves_the_others_standing(tiny_clip: Path, tmp_path: Path) -> None:
    tiny.save_clip(tmp_path / "whole")
    verifier = Verifier(
        ClipScorer(tiny_clip), others=[HeldOutScorer(tmp_path / "none"), HeldOutScorer(tmp_path / "whole")]
    )
    [judged] = verifier.judge([noise(1)], GenerationRequest(prompt="a cap"))
    assert list(judged.others) == ["held_out"]
    assert verifier.notices[0].startswith("none (held out) is left out: ")
