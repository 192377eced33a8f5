"""Losses, heads, tokenizers and batches of the bundled model, on tiny real components."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from sdxl_lora.mini.attributes import CLASSES, AttributeHeads, targets
from sdxl_lora.mini.autoencoder import (
    FREEZE_ENCODER,
    gradient_difference,
    learning_rates,
    make_autoencoder,
    psnr,
    reconstruction_loss,
)
from sdxl_lora.mini.batches import Batch
from sdxl_lora.mini.clip import contrastive
from sdxl_lora.mini.dataset import to_pixels
from sdxl_lora.mini.denoiser import freeze_lowest, make_unet, velocity_loss
from sdxl_lora.mini.judge import Judge, close_ups, likeliest
from sdxl_lora.mini.loss_weights import (
    BARE_WEIGHT,
    CAMOUFLAGE_WEIGHT,
    DETAIL_WEIGHT,
    EMBLEM_WEIGHT,
    STAND_WEIGHT,
    loss_weights,
)
from sdxl_lora.mini.pipeline import make_scheduler
from sdxl_lora.mini.renderer import cloth_mask, emblem_mask, render, stand_mask
from sdxl_lora.mini.scene import Scene, is_held_out, sample_scene
from sdxl_lora.mini.tokenizer import MAX_LENGTH, build_tokenizers
from sdxl_lora.mini.verdict import BARS, judged_scenes, verdict

LOGO = Scene(
    garment="t-shirt", colour="navy", emblem="circle", emblem_colour="white", emblem_position="centre", seed=3
)


def test_every_scene_has_a_class_for_every_attribute() -> None:
    rng = random.Random(0)
    wanted = targets([sample_scene(rng) for _ in range(200)])
    for name, classes in CLASSES.items():
        assert wanted[name].shape == (200,)
        assert wanted[name].max() < len(classes)


def test_heads_learn_what_features_say() -> None:
    torch.manual_seed(0)
    heads = AttributeHeads(8)
    wanted = targets([LOGO])
    features = torch.randn(1, 8)
    optimizer = torch.optim.SGD(heads.parameters(), lr=1.0)
    first = heads.loss(features, wanted).item()
    for _ in range(20):
        optimizer.zero_grad()
        heads.loss(features, wanted).backward()
        optimizer.step()
    assert heads.loss(features, wanted).item() < first / 10
    assert all(torch.equal(heads.predict(features)[name], wanted[name]) for name in CLASSES)


def test_matching_pairs_have_the_lower_contrastive_loss() -> None:
    eye = torch.eye(4)
    scale = torch.tensor(10.0)
    assert contrastive(eye, eye, scale) < contrastive(eye, eye.roll(1, 0), scale)


def test_pixels_run_from_minus_one_to_one() -> None:
    pixels = to_pixels(np.array([[[[0, 127, 255]]]], np.uint8))
    assert pixels.shape == (1, 3, 1, 1)
    assert pixels.flatten().tolist() == pytest.approx([-1, -0.0039, 1], abs=1e-3)


def test_a_flat_difference_has_no_gradient_difference() -> None:
    assert gradient_difference(torch.ones(1, 3, 16, 16)).item() == 0
    assert gradient_difference(torch.randn(1, 3, 16, 16)).item() > 0


def test_a_perfect_reconstruction_costs_nothing() -> None:
    pixels = torch.rand(1, 3, 16, 16)
    assert reconstruction_loss(pixels, pixels, 1.0).item() == 0


def test_the_encoder_stops_learning_where_it_freezes() -> None:
    encoder, decoder = learning_rates(FREEZE_ENCODER, 1.0)
    assert encoder == pytest.approx(0, abs=1e-9)
    assert decoder > 0


def test_psnr_of_an_untrained_autoencoder_is_finite_and_low() -> None:
    torch.manual_seed(0)
    vae = make_autoencoder((8, 8, 16, 16), 64)
    value = psnr(vae, np.full((1, 64, 64, 3), 200, np.uint8), "cpu")
    assert 0 < value < 40


def test_the_emblem_mask_lies_under_the_emblem() -> None:
    recoloured = replace(LOGO, emblem_colour="red")
    changed = np.abs(render(LOGO, 128).astype(int) - render(recoloured, 128)).sum(-1) > 60
    mask = emblem_mask(LOGO, 16)
    cells = changed.reshape(16, 8, 16, 8).mean((1, 3))
    assert np.corrcoef(mask.ravel(), cells.ravel())[0, 1] > 0.95


def test_latents_under_an_emblem_weigh_more() -> None:
    weights = loss_weights(LOGO, 16)
    assert weights.max() == EMBLEM_WEIGHT
    assert weights.min() == 1


def test_what_tells_a_shirt_from_a_sweatshirt_weighs_more_and_its_plain_cloth_does_not() -> None:
    weights = loss_weights(Scene(garment="shirt", colour="red", seed=3), 32)
    middle, beside = weights[12:26, 15:17], weights[16:24, 18:21]
    assert middle.mean() > 0.6 * DETAIL_WEIGHT
    assert beside.max() < 2
    assert (weights[:, [0, 31]] == 1).all()


def test_where_a_garment_might_carry_its_emblem_and_does_not_weighs_more_too() -> None:
    jacket = replace(LOGO, garment="jacket", emblem_position="chest")
    weights = loss_weights(jacket, 32)
    elsewhere = loss_weights(replace(jacket, emblem_position="sleeve"), 32)
    assert ((weights == BARE_WEIGHT) & (elsewhere == EMBLEM_WEIGHT)).sum() >= 4
    assert ((weights == EMBLEM_WEIGHT) & (elsewhere == BARE_WEIGHT)).sum() >= 4


def test_hands_and_hooks_weigh_more_and_the_backdrop_beside_them_does_not() -> None:
    shown = replace(LOGO, emblem=None, emblem_colour=None, emblem_position=None, presentation="figure")
    flat = loss_weights(replace(shown, presentation="flat"), 32)
    weights, stand = loss_weights(shown, 32), stand_mask(shown, 32)
    assert (weights[stand == 1] >= STAND_WEIGHT).all()
    assert (flat[:, 0] == 1).all()
    assert (weights[:, 0] == 1).all()


def test_camouflage_weighs_more_than_plain_cloth() -> None:
    plain = replace(LOGO, emblem=None, emblem_colour=None, emblem_position=None)
    cloth = cloth_mask(plain, 32) == 1
    assert (loss_weights(replace(plain, pattern="camouflage"), 32)[cloth] >= CAMOUFLAGE_WEIGHT).all()
    assert np.median(loss_weights(plain, 32)[cloth]) < 2


def test_the_noise_schedule_ends_in_pure_noise() -> None:
    assert make_scheduler().alphas_cumprod[-1].item() < 1e-6


def test_predicting_the_velocity_exactly_costs_nothing() -> None:
    clean, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    steps = torch.tensor([10, 900])
    alphas = make_scheduler().alphas_cumprod.sqrt()
    alpha = alphas[steps].view(-1, 1, 1, 1)
    exact = alpha * noise - (1 - alpha**2).sqrt() * clean
    batch = Batch(clean, torch.ones(2, 1, 8, 8), ["", ""], torch.full((2, 6), 64.0), noise, steps)
    text = (torch.zeros(2, 77, 32), torch.zeros(2, 192))

    class Oracle(torch.nn.Module):
        def forward(self, *_: object, **__: object) -> tuple[torch.Tensor]:
            return (exact,)

    assert velocity_loss(Oracle(), batch, text, alphas).item() == pytest.approx(0, abs=1e-9)


def test_the_unet_takes_sdxl_conditions() -> None:
    torch.manual_seed(0)
    unet = make_unet((16, 32, 64), 48, 8)
    conditions = {"text_embeds": torch.zeros(1, 192), "time_ids": torch.zeros(1, 6)}
    out = unet(torch.randn(1, 4, 8, 8), 5, torch.zeros(1, 77, 48), added_cond_kwargs=conditions).sample
    assert out.shape == (1, 4, 8, 8)
    assert unet.config["addition_embed_type"] == "text_time"


def test_frozen_parts_of_the_lowest_level_get_no_gradient_and_the_rest_does() -> None:
    torch.manual_seed(0)
    unet = make_unet((16, 32, 64), 48, 8)
    freeze_lowest(unet)
    conditions = {"text_embeds": torch.randn(1, 192), "time_ids": torch.randn(1, 6)}
    out = unet(torch.randn(1, 4, 8, 8), 5, torch.randn(1, 77, 48), added_cond_kwargs=conditions).sample
    out.pow(2).sum().backward()
    learning = {name for name, weights in unet.named_parameters() if weights.grad is not None}
    assert "down_blocks.2.resnets.0.conv1.weight" not in learning
    assert "mid_block.attentions.0.transformer_blocks.0.ff.net.2.weight" not in learning
    assert "up_blocks.0.upsamplers.0.conv.weight" not in learning
    assert "up_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k.weight" in learning
    assert "down_blocks.1.resnets.0.conv1.weight" in learning
    assert "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.2.weight" in learning


def test_any_text_has_tokens_and_comes_back(tmp_path: Path) -> None:
    build_tokenizers(tmp_path, seed=0, sentences=300, vocabulary_size=700)
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer = CLIPTokenizer.from_pretrained(tmp_path / name)
        assert tokenizer.model_max_length == MAX_LENGTH
        for text in ("a navy windbreaker jacket", "Zürich ☃ 夹克 2024"):
            ids = tokenizer(text).input_ids
            assert ids[0] == tokenizer.bos_token_id
            assert ids[-1] == tokenizer.eos_token_id
            decoded = tokenizer.decode(ids, skip_special_tokens=True)
            assert decoded.replace(" ", "") == text.lower().replace(" ", "")


def test_the_judge_looks_closely_where_the_map_points() -> None:
    places = torch.full((1, 16, 16), -9.0)
    places[0, 11, 4] = 9.0
    assert torch.equal(likeliest(places), torch.tensor([[11.0, 4.0]]))
    pixels = torch.zeros(1, 3, 128, 128)
    pixels[0, :, 92, 36] = 1
    assert close_ups(pixels, likeliest(places)).sum() == 3


def test_a_close_up_at_the_edge_stays_inside_the_picture() -> None:
    pixels = torch.rand(2, 3, 128, 128)
    corners = close_ups(pixels, torch.tensor([[0.0, 0.0], [15.0, 15.0]]))
    assert torch.equal(corners[0], pixels[0, :, :40, :40])
    assert torch.equal(corners[1], pixels[1, :, -40:, -40:])


def test_the_judge_is_asked_about_combinations_that_were_not_trained_on() -> None:
    scenes = judged_scenes(40)
    assert all(is_held_out(scene) for scene in scenes)
    assert scenes == judged_scenes(40)


def test_a_verdict_counts_emblem_rows_only_where_one_was_asked_for() -> None:
    torch.manual_seed(0)
    scenes = [LOGO, Scene(garment="cap", colour="red")]
    result = verdict(Judge().eval(), np.stack([render(scene, 64) for scene in scenes]), scenes)
    assert result.counts["emblem shape"] == 1
    assert result.counts["garment"] == 2
    assert set(BARS) <= set(result.shares)
