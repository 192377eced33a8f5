"""The networks' numbers are those of the reference classes, and depend on no neighbour in the batch."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BertTokenizerFast,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
    BlipTextConfig,
    BlipVisionConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
)

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.evaluation import backbones, inception, perceptual, weights
from sdxl_lora.evaluation.pictures import Picture
from tests.evaluation.drawing import noisy


def pictures(count: int, side: int = 48) -> list[Picture]:
    return [Picture(np.asarray(noisy(seed, side))) for seed in range(count)]


@pytest.fixture(scope="module")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised BLIP retrieval model of transformers' own classes."""
    folder = tmp_path_factory.mktemp("blip")
    torch.manual_seed(0)
    text = BlipTextConfig(
        vocab_size=64,
        hidden_size=32,
        encoder_hidden_size=32,
        intermediate_size=64,
        projection_dim=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=20,
        bos_token_id=2,
        sep_token_id=3,
        eos_token_id=3,
        pad_token_id=0,
    )
    vision = BlipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
    )
    config = BlipConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        image_text_hidden_size=16,
        projection_dim=16,
    )
    BlipForImageTextRetrieval(config).save_pretrained(folder)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    BlipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_clip_embeddings_give_the_similarity_of_transformers_own_forward_pass(tiny_clip: Path) -> None:
    clip = backbones.Clip(tiny_clip, "tiny")
    images, texts = pictures(3), ["a red jacket", "a blue skirt", "a hat"]
    ours = (clip.embed(images) * clip.embed_texts(texts)).sum(axis=1)
    model = CLIPModel.from_pretrained(tiny_clip).eval()
    arrays = [Image.fromarray(picture.pixels) for picture in images]
    # the PIL processor: the torchvision one resizes differently, by up to 4e-5 in the cosine
    pixels = CLIPImageProcessorPil.from_pretrained(tiny_clip)(images=arrays, return_tensors="pt")
    tokens = CLIPTokenizer.from_pretrained(tiny_clip)(texts, padding=True, return_tensors="pt")
    inputs = {"pixel_values": pixels["pixel_values"], **tokens}
    with torch.inference_mode():
        outputs = model(**inputs)
    theirs = (outputs.image_embeds * outputs.text_embeds).sum(dim=-1).numpy()
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_features_do_not_depend_on_the_other_pictures_to_the_last_bit(tiny_clip: Path, count: int) -> None:
    clip = backbones.Clip(tiny_clip, "tiny")
    many = pictures(9)
    alone = clip.embed(many[:1])
    assert np.array_equal(clip.embed(many[:count])[:1], alone)
    assert np.array_equal(clip.embed(many[9 - count :])[-1:], clip.embed(many[-1:]))


def test_square_pictures_resized_before_the_processor_give_the_processors_own_features(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = pictures(5, side=100)
    clip = backbones.Clip(tiny_clip, "tiny")
    assert clip.square_side == 32
    ours = clip.embed(many)
    monkeypatch.setattr(clip, "square_side", None)
    assert np.array_equal(clip.embed(many), ours)


@pytest.mark.parametrize(
    ("settings", "side"),
    [
        ({"do_resize": True, "size": {"shortest_edge": 224}, "resample": 3}, 224),
        ({"do_resize": True, "size": 224, "resample": 3}, 224),  # as the first CLIP checkpoints have it
        ({"do_resize": True, "size": {"shortest_edge": 224}, "resample": 2}, None),
        ({"do_resize": True, "size": {"height": 384, "width": 384}, "resample": 3}, None),
        ({"do_resize": False, "size": 224, "resample": 3}, None),
    ],
)
def test_only_a_bicubic_resize_of_the_shortest_edge_is_done_ahead(
    tiny_clip: Path, tmp_path: Path, settings: dict[str, object], side: int | None
) -> None:
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    (folder / "processor_config.json").unlink(missing_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    assert backbones.Clip(folder, "tiny").square_side == side


def test_no_pictures_give_no_features(tiny_clip: Path) -> None:
    assert len(backbones.Clip(tiny_clip, "tiny").embed([])) == 0


def test_texts_longer_than_the_model_takes_stay_different(tiny_clip: Path) -> None:
    clip = backbones.Clip(tiny_clip, "tiny")
    one, two = clip.embed_texts(["a" * 70 + "b" * 90, "b" * 70 + "a" * 90])
    assert not np.allclose(one, two)


def test_blip_scores_are_those_of_the_reference_class(tiny_blip: Path) -> None:
    images, texts = pictures(2), ["a jacket", "a long blue skirt"]
    ours = backbones.Blip(tiny_blip).match(images, texts)
    model = BlipForImageTextRetrieval.from_pretrained(tiny_blip).eval()
    pixels = BlipImageProcessorPil.from_pretrained(tiny_blip)(
        images=[picture.pixels for picture in images], return_tensors="pt"
    )["pixel_values"]
    tokens = BertTokenizerFast.from_pretrained(tiny_blip)(texts, padding=True, return_tensors="pt")
    inputs = {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
    with torch.inference_mode():
        matched = model(pixel_values=pixels, **inputs, use_itm_head=True)[0].softmax(dim=1)[:, 1]
        cosines = model(pixel_values=pixels, **inputs, use_itm_head=False)[0].diagonal()
    assert ours[:, 0] == pytest.approx(matched.numpy(), abs=1e-5)
    assert ours[:, 1] == pytest.approx(cosines.numpy(), abs=1e-5)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"no model\.safetensors"):
        backbones.Clip(tmp_path, "none")


def test_the_missing_bundled_clip_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tmp_path / "nowhere"))
    with pytest.raises(ModelUnavailableError, match="build-mini"):
        backbones.load("mini")


def test_local_files_of_inception_and_alexnet_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real classes with weights of ours, which the catalogue is told are the published ones."""
    networks = {"inception": inception.FidInception(), "alexnet": perceptual.AlexNetFeatures()}
    given = {}
    for key, network in networks.items():
        given[key] = tmp_path / f"{key}.pth"
        torch.save(network.state_dict(), given[key])
        sha256 = hashlib.sha256(given[key].read_bytes()).hexdigest()
        monkeypatch.setitem(
            weights.CATALOGUE, key, dataclasses.replace(weights.CATALOGUE[key], sha256=sha256)
        )
    network = backbones.load("inception", given)
    features = network.embed(pictures(1))
    assert features.shape == (1, inception.FEATURES)
    assert weights.sha256_of(given["inception"]) == network.settings["weights_sha256"]
    lpips = backbones.load("alexnet", given, side=64)
    same, other = pictures(2)
    distances = lpips.distances([(same, same), (same, other)])
    assert distances[0] == 0
    assert distances[1] > 0
    assert np.array_equal(lpips.distances([(same, other)]), distances[1:])


def test_a_file_that_is_no_inception_is_refused(tmp_path: Path) -> None:
    torch.save({"other": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(ModelUnavailableError, match="not the Inception"):
        inception.load_inception(tmp_path / "a.pth")
    with pytest.raises(ModelUnavailableError, match="not torchvision's AlexNet"):
        perceptual.load_lpips(tmp_path / "a.pth")
