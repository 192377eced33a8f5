"""The CLIP score is the raw cosine of the real model, whatever the batch, the text or the picture's mode."""

import math
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, CLIPProcessor

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.scoring import base
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.clip import BATCH, ClipScorer

TEXTS = ["a navy jacket", "a red cap with a white star logo", "ジャケット 🧥", "b " * 300]


def noise(seed: int, size: tuple[int, int] = (40, 52)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def scorer(tiny_clip: Path) -> ClipScorer:
    return ClipScorer(tiny_clip, name="tiny-CLIP cosine")


def test_the_score_is_the_models_own_similarity_without_its_temperature(
    scorer: ClipScorer, tiny_clip: Path
) -> None:
    images = [noise(i) for i in range(3)]
    model = CLIPModel.from_pretrained(tiny_clip).eval()
    inputs = CLIPProcessor.from_pretrained(tiny_clip)(
        text=TEXTS[:3], images=images, return_tensors="pt", padding=True
    )
    with torch.inference_mode():
        logits = model(**inputs).logits_per_image / model.logit_scale.exp()
    # the processor of the reference may resize with torchvision, ours resizes with Pillow
    assert scorer.score(images, TEXTS[:3]) == pytest.approx(logits.diagonal().tolist(), abs=1e-3)


def test_scores_lie_between_minus_one_and_one_and_tell_pictures_apart(scorer: ClipScorer) -> None:
    values = scorer.score([noise(i) for i in range(6)], ["a navy jacket"] * 6)
    assert all(-1 <= value <= 1 for value in values)
    assert len(set(values)) == 6


def test_the_batch_size_does_not_matter(scorer: ClipScorer) -> None:
    images = [noise(i) for i in range(BATCH + 3)]
    texts = [TEXTS[i % 4] for i in range(BATCH + 3)]
    alone = [scorer.score([image], [text])[0] for image, text in zip(images, texts, strict=True)]
    assert scorer.score(images, texts) == pytest.approx(alone, abs=1e-5)


def test_a_long_text_is_read_in_chunks_to_its_end(scorer: ClipScorer) -> None:
    long = "a navy jacket, " * 100
    spans = scorer.chunks(long)
    assert len(spans) > 4
    parts = [long[start:end].strip() for start, end in spans]
    picture = [noise(1)]
    each = [scorer.score(picture, [part])[0] for part in parts]
    assert scorer.score(picture, [long])[0] == pytest.approx(sum(each) / len(each), abs=1e-5)
    assert scorer.score(picture, [long + "with a star"]) != scorer.score(picture, [long])
    _, tokenizer, _ = scorer._load()
    assert max(len(tokenizer(part)["input_ids"]) for part in parts) <= 77


def test_every_mode_and_size_of_picture_is_scored(scorer: ClipScorer) -> None:
    modes = [
        noise(1, size).convert(mode) for mode in ("RGB", "L", "RGBA", "P") for size in ((9, 300), (64, 64))
    ]
    assert all(math.isfinite(value) for value in scorer.score(modes, ["a cap"] * len(modes)))


def test_black_and_flat_pictures_have_no_score_and_spoil_no_other(scorer: ClipScorer) -> None:
    flat = [Image.new("RGB", (32, 32)), Image.new("RGB", (32, 32), "red")]
    values = scorer.score([*flat, noise(2)], ["a cap"] * 3)
    assert [math.isnan(value) for value in values] == [True, True, False]
    assert values[2] == pytest.approx(scorer.score([noise(2)], ["a cap"])[0], abs=1e-5)


def test_embeddings_that_are_not_finite_give_no_score(tiny_clip: Path) -> None:
    broken = ClipScorer(tiny_clip)
    model, _, _ = broken._load()
    with torch.no_grad():
        model.network.visual_projection.weight.fill_(float("nan"))
    assert math.isnan(broken.score([noise(1)], ["a cap"])[0])


def test_nothing_is_scored_as_nothing(scorer: ClipScorer) -> None:
    assert scorer.score([], []) == []
    assert scorer.embed_texts([]).shape == scorer.embed_images([]).shape == (0, 32)


def test_equal_texts_have_equal_unit_embeddings_in_order(scorer: ClipScorer) -> None:
    rows = scorer.embed_texts(["b", "a", "b"])
    assert torch.equal(rows[0], rows[2])
    assert not torch.allclose(rows[0], rows[1])
    assert torch.allclose(rows.norm(dim=-1), torch.ones(3))


def test_pictures_and_texts_must_pair_up(scorer: ClipScorer) -> None:
    with pytest.raises(ValueError, match="2 pictures but 1 texts"):
        scorer.score([noise(1), noise(2)], ["a"])


def test_threads_share_one_scorer(scorer: ClipScorer) -> None:
    expected = scorer.score([noise(5)], ["a cap"])
    results: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: results.append(scorer.score([noise(5)], ["a cap"]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [pytest.approx(expected)] * 4


def test_nothing_is_loaded_before_the_first_score(tmp_path: Path) -> None:
    missing = ClipScorer(tmp_path / "nowhere")
    assert (missing.key, missing.name) == ("clip", "CLIP cosine (nowhere)")
    with pytest.raises(ModelUnavailableError, match="nowhere is not here or not whole"):
        missing.score([noise(1)], ["a cap"])


def test_a_hub_model_that_cannot_be_reached_says_what_to_do() -> None:
    with pytest.raises(ModelUnavailableError, match="connect to the hub once"):
        ClipScorer("nobody/no-such-clip").score([noise(1)], ["a cap"])


@pytest.mark.parametrize(
    "missing", ["model.safetensors", "config.json", "processor_config.json", "tokenizer.json"]
)
def test_a_folder_without_all_its_files_is_one_clear_line(
    tiny_clip: Path, tmp_path: Path, missing: str
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    (folder / missing).unlink()
    with pytest.raises(ModelUnavailableError, match=r"is not here|is damaged") as caught:
        ClipScorer(folder).score([noise(1)], ["a cap"])
    assert "\n" not in str(caught.value)


def test_weights_that_are_cut_or_incomplete_are_never_filled_with_random_numbers(
    tiny_clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    file = folder / "model.safetensors"
    weights = load_file(file)
    save_file({k: v for k, v in weights.items() if k != "text_projection.weight"}, file, {"format": "pt"})
    with pytest.raises(ModelUnavailableError, match="is damaged or of another kind"):
        ClipScorer(folder).score([noise(1)], ["a cap"])
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelUnavailableError, match="is damaged or of another kind"):
        ClipScorer(folder).score([noise(1)], ["a cap"])


def test_the_default_scorer_is_the_mini_models_own_and_named_so(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_clip, tmp_path / "mini" / "clip")
    monkeypatch.setenv("SDXL_LORA_MINI", str(tmp_path / "mini"))
    default: Scorer = base.default_scorer()
    assert (default.key, default.name) == ("clip", "mini-CLIP cosine")
    assert base.default_scorer() is default
    assert math.isfinite(default.score([noise(1)], ["a cap"])[0])
    monkeypatch.setenv("SDXL_LORA_MINI", str(tmp_path / "other"))
    with pytest.raises(ModelUnavailableError, match="other"):
        base.default_scorer().score([noise(1)], ["a cap"])
