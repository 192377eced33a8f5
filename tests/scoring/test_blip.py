"""BLIP's two scores are the real model's, mask and all; missing weights name the command."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessor,
    BlipTextConfig,
    BlipVisionConfig,
)

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.blip import BlipModel, BlipScorer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "navy", "jacket", "red", "cap", "with"]
TEXTS = ["a navy jacket with a red cap", "cap", "a red jacket"]


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 52, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-blip"
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = BlipTextConfig(
        vocab_size=len(WORDS), encoder_hidden_size=32, max_position_embeddings=64, projection_dim=16, **small
    )
    vision = BlipVisionConfig(image_size=32, patch_size=8, projection_dim=16, **small)
    config = BlipConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=16,
        image_text_hidden_size=16,
    )
    BlipForImageTextRetrieval(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(folder)
    BlipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("head", ["itm", "itc"])
def test_a_batch_of_texts_of_different_length_scores_as_each_alone(tiny_blip: Path, head: str) -> None:
    scorer: Scorer = BlipScorer(BlipModel(tiny_blip), head)  # type: ignore[arg-type]  # parametrised
    images = [noise(seed) for seed in range(3)]
    alone = [scorer.score([image], [text])[0] for image, text in zip(images, TEXTS, strict=True)]
    assert scorer.score(images, TEXTS) == pytest.approx(alone, abs=1e-5)
    assert scorer.key == f"blip_{head}"


def test_itm_is_a_probability_and_itc_a_cosine_of_the_real_model(tiny_blip: Path) -> None:
    network, image = BlipModel(tiny_blip), noise(1)
    model = BlipForImageTextRetrieval.from_pretrained(tiny_blip).eval()
    tokens = BertTokenizerFast.from_pretrained(tiny_blip)([TEXTS[0]], return_tensors="pt")
    pixels = BlipImageProcessor.from_pretrained(tiny_blip)(images=[image], return_tensors="pt")[
        "pixel_values"
    ]
    inputs = {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
    with torch.inference_mode():
        matched = model(pixel_values=pixels, **inputs, use_itm_head=True)[0].softmax(dim=1)[0, 1]
        cosine = model(pixel_values=pixels, **inputs, use_itm_head=False)[0][0, 0]
    assert network.match([image], [TEXTS[0]], "itm") == pytest.approx([float(matched)], abs=2e-3)
    assert network.match([image], [TEXTS[0]], "itc") == pytest.approx([float(cosine)], abs=2e-3)


def test_a_blank_picture_has_no_score(tiny_blip: Path) -> None:
    [value] = BlipModel(tiny_blip).match([Image.new("RGB", (40, 40))], ["cap"], "itm")
    assert math.isnan(value)


def test_without_weights_one_line_names_the_command(home: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="python -m sdxl_lora models fetch metrics") as caught:
        BlipScorer(BlipModel(), "itm").score([noise(1)], ["cap"])
    assert str(home) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_incomplete_weights_are_never_filled_with_random_numbers(tiny_blip: Path, tmp_path: Path) -> None:
    (tmp_path / "blip").mkdir()
    for file in tiny_blip.iterdir():
        (tmp_path / "blip" / file.name).write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelUnavailableError, match="delete it and"):
        BlipModel(tmp_path / "blip").match([noise(1)], ["cap"], "itm")
