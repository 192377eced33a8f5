"""The written-out blocks against diffusers' modules, in a whole UNet: results, and every gradient."""

import copy
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from sdxl_lora.training.adapter import Adapter, LoraSettings
from sdxl_lora.training.cpu import attention, blocks, packed

BATCH, TOKENS, TEXT, POOLED = 2, 7, 24, 10


def unet(**changes: Any) -> UNet2DConditionModel:
    """Two levels, the second with attention; a LoRA that does something."""
    torch.manual_seed(0)
    values: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 8,
        "attention_head_dim": (2, 4),
        "cross_attention_dim": TEXT,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": POOLED + 24,
        **changes,
    }
    made = UNet2DConditionModel(**values)
    adapter = Adapter({"unet": made}, LoraSettings(rank=3, alpha=5), 0)
    for name, parameter in adapter.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return made.train()


def written_out(plain: UNet2DConditionModel) -> UNet2DConditionModel:
    ours = copy.deepcopy(plain)
    packed.pack(ours)
    attention.install(ours)
    assert blocks.install(ours) > 0
    return ours


def both_ways(
    model: Any, *, size: tuple[int, int] = (8, 12), pooled_is_trained: bool = False
) -> dict[str, Any]:
    """The answer, and the gradients of the LoRA and of the text."""
    random = torch.Generator().manual_seed(1)
    text = torch.randn(BATCH, TOKENS, TEXT, generator=random).requires_grad_()
    pooled = torch.randn(BATCH, POOLED, generator=random).requires_grad_(pooled_is_trained)
    noisy = torch.randn(BATCH, 4, *size, generator=random)
    added = {"text_embeds": pooled, "time_ids": torch.full((BATCH, 6), 64.0)}
    answer = model(noisy, torch.tensor([3, 700]), text, added_cond_kwargs=added, return_dict=False)[0]
    answer.backward(torch.linspace(-1, 1, answer.numel()).view_as(answer))
    found = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    found |= {"answer": answer.detach(), "text": text.grad}
    return found | ({"pooled": pooled.grad} if pooled_is_trained else {})


def off(found: torch.Tensor, right: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((found - right).abs().max() / right.abs().max())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"resnet_time_scale_shift": "scale_shift"},
        {"use_linear_projection": False, "attention_head_dim": 8},
        {"transformer_layers_per_block": 2, "layers_per_block": 2},
    ],
    ids=["time as a shift", "time as scale and shift", "projections as convolutions", "several layers"],
)
def test_answers_and_gradients_are_those_of_the_modules(changes):
    plain = unet(**changes)
    theirs, ours = both_ways(plain), both_ways(written_out(plain))
    for name, value in theirs.items():
        assert off(ours[name], value) < 1e-3, name


def test_a_trained_pooled_state_gets_its_gradient():
    plain = unet(resnet_time_scale_shift="scale_shift")
    theirs = both_ways(plain, pooled_is_trained=True)
    ours = both_ways(written_out(plain), pooled_is_trained=True)
    assert theirs["pooled"].abs().max() > 0
    for name, value in theirs.items():
        assert off(ours[name], value) < 1e-3, name


def test_recomputed_activations_give_the_same_gradients():
    ours = written_out(unet())
    saving = written_out(unet())
    saving.enable_gradient_checkpointing()
    found = both_ways(saving)
    for name, value in both_ways(ours).items():
        assert off(found[name], value) < 1e-5, name


def test_without_its_lora_it_answers_as_the_frozen_model():
    plain = unet()
    ours = written_out(plain)
    random = torch.Generator().manual_seed(2)
    noisy, text = torch.randn(1, 4, 8, 8, generator=random), torch.randn(1, TOKENS, TEXT, generator=random)
    added = {"text_embeds": torch.zeros(1, POOLED), "time_ids": torch.zeros(1, 6)}
    answers = []
    for model in (plain, ours):
        model.disable_adapters()
        with torch.no_grad():
            answers.append(model(noisy, 5, text, added_cond_kwargs=added).sample)
        model.enable_adapters()
    with torch.no_grad():
        trained = ours(noisy, 5, text, added_cond_kwargs=added).sample
    assert torch.allclose(answers[0], answers[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(trained, answers[1], rtol=1e-2, atol=1e-2)


def test_a_mask_of_the_text_is_left_to_diffusers_which_refuses_it():
    ours = written_out(unet())
    added = {"text_embeds": torch.zeros(1, POOLED), "time_ids": torch.zeros(1, 6)}
    with pytest.raises(ValueError, match="masks"):
        ours(
            torch.zeros(1, 4, 8, 8),
            5,
            torch.zeros(1, TOKENS, TEXT),
            added_cond_kwargs=added,
            encoder_attention_mask=torch.ones(1, TOKENS),
        )


def test_blocks_with_a_lora_on_their_convolutions_are_left_to_diffusers():
    made = unet()
    made.delete_adapters("default")
    Adapter({"unet": made}, LoraSettings(rank=2, alpha=2, target="attention+conv"), 0)
    packed.pack(made)
    attention.install(made)
    blocks.install(made)
    residual = [module for name, module in made.named_modules() if type(module).__name__ == "ResnetBlock2D"]
    assert residual
    assert not any("forward" in vars(module) for module in residual)
