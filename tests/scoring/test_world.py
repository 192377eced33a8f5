"""A judge has no number for pictures of a kind that it was not trained on."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.evaluation.engine import Settings, evaluate
from sdxl_lora.evaluation.pairing import pair_folders
from sdxl_lora.evaluation.weights import sha256_of
from sdxl_lora.scoring import world
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.scoring.world import World


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def strange() -> Image.Image:
    """Stripes: nothing that noise looks like."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[::4] = 255
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def folder(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP that knows noise, and nothing else."""
    copy = tmp_path_factory.mktemp("world") / "clip"
    shutil.copytree(tiny_clip, copy)
    known = ClipScorer(copy).statistics([noise(seed) for seed in range(200)])
    photos = ClipScorer(copy).statistics([strange()] * 4)
    World.fitted(known[:150], known[150:], photos, sha256_of(copy / "model.safetensors")).save(copy)
    return copy


def test_the_limit_leaves_nearly_all_of_the_kind_inside_and_others_out() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    train, held_out, fresh = (rng.normal(size=(n, 6)) @ mixing for n in (2_000, 500, 2_000))
    found = World.fitted(train, held_out, held_out + 8 * mixing[1], "w")
    assert found.outside(fresh).mean() < 0.03
    assert found.outside(fresh + 8 * mixing[0]).mean() > 0.99
    assert np.cov(((train - found.mean) @ found.whitening).T) == pytest.approx(np.eye(6), abs=0.01)


def test_photographs_near_the_kind_are_outside_although_their_distance_is_usual() -> None:
    rng = np.random.default_rng(1)
    shift = np.array([2.5, 0, 0, 0, 0, 0])  # a distance that one direction among six hides
    train, held_out, fresh = (rng.normal(size=(n, 6)) for n in (2_000, 500, 1_000))
    found = World.fitted(train, held_out, rng.normal(size=(500, 6)) * 0.5 + shift, "w")
    strange = fresh * 0.5 + shift
    assert (found.distance(strange) > found.limit).mean() < 0.3
    assert found.outside(strange).mean() > 0.5
    assert found.outside(fresh).mean() < 0.04


def test_a_judge_that_abstains_has_no_score_for_a_strange_picture(folder: Path) -> None:
    texts = ["a cap", "a cap"]
    known, other = ClipScorer(folder, abstains=True).score([noise(900), strange()], texts)
    assert math.isfinite(known)
    assert math.isnan(other)
    assert all(map(math.isfinite, ClipScorer(folder).score([noise(900), strange()], texts)))
    assert ClipScorer(folder).outside([noise(901), strange()]) == [False, True]


def test_a_world_of_other_weights_or_a_damaged_one_is_none(folder: Path, tmp_path: Path) -> None:
    assert world.load(folder, "others") is None
    (tmp_path / world.FILE).write_bytes(b"PK\x03\x04 nothing")
    assert world.load(tmp_path, "w") is None
    assert world.load(tmp_path / "nowhere", "w") is None


def test_an_evaluation_leaves_out_what_the_judge_cannot_judge_and_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "mini" / "clip")
    monkeypatch.setenv("SDXL_LORA_MINI", str(tmp_path / "mini"))
    (tmp_path / "in").mkdir()
    noise(902).save(tmp_path / "in" / "known.png")
    strange().save(tmp_path / "in" / "strange.png")
    (tmp_path / "c.json").write_text('{"known": "a cap", "strange": "a cap"}')
    pairing = pair_folders(tmp_path / "in", captions=tmp_path / "c.json")
    metric = evaluate(pairing, Settings(metrics=("clip_mini",))).metrics["clip_mini"]
    assert [value is None for value in metric["per_image"]] == [False, True]
    assert metric["n"] == 1
    assert metric["settings"]["skipped"] == {
        "strange": "of a kind that the judge was not trained on: it abstains"
    }
