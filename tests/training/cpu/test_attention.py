"""The written-out attention against diffusers' and peft's modules: results, and every gradient."""

import copy

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from peft import LoraConfig, inject_adapter_in_model

from sdxl_lora.training import components
from sdxl_lora.training.cpu import attention
from sdxl_lora.training.cpu.attention import LoraAttention
from tests.training.conftest import run

WIDTH, HEADS, BATCH, TOKENS = 48, 3, 2, 10


def layer(context: int | None = None, dora: bool = False, **changes) -> Attention:
    """An attention layer of the UNet's kind with a LoRA that does something; alpha is not the rank."""
    torch.manual_seed(0)
    made = Attention(
        WIDTH, context, heads=HEADS, dim_head=WIDTH // HEADS, processor=AttnProcessor(), **changes
    ).requires_grad_(False)
    config = LoraConfig(r=4, lora_alpha=6, use_dora=dora, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
    inject_adapter_in_model(config, made)
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("context", [None, 20, WIDTH], ids=["self", "cross", "cross of the same width"])
def test_results_and_gradients_are_those_of_the_modules(context):
    theirs = layer(context)
    ours = copy.deepcopy(theirs)
    assert attention.install(torch.nn.Sequential(ours)) == 1
    x = torch.randn(BATCH, TOKENS, WIDTH)
    other = None if context is None else torch.randn(BATCH, 7, context)
    found = []
    for made in (theirs, ours):
        inputs = [given.clone().requires_grad_() for given in (x, other) if given is not None]
        result = made(*inputs)
        result.backward(torch.linspace(-1, 1, result.numel()).view_as(result))
        trained = {name: p.grad for name, p in made.named_parameters() if p.requires_grad}
        assert len(trained) == 8
        found.append(
            {"result": result.detach(), **trained, **{f"input {i}": g.grad for i, g in enumerate(inputs)}}
        )
    for name, value in found[0].items():
        assert torch.allclose(found[1][name], value, rtol=1e-4, atol=1e-5), name


def test_self_attention_in_a_layer_made_for_another_text_width_works():
    theirs = layer()
    ours = copy.deepcopy(theirs)
    attention.install(torch.nn.Sequential(ours))
    x = torch.randn(1, TOKENS, WIDTH)  # needs no gradient, as before the first LoRA
    for made in (theirs, ours):
        made(x).sum().backward()
    for (name, mine), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        if other.requires_grad:
            assert torch.allclose(mine.grad, other.grad, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize(
    "made",
    [
        lambda: layer(dora=True),
        lambda: layer(residual_connection=True),
        lambda: layer(norm_num_groups=4),
        lambda: layer().to(torch.bfloat16),
        lambda: layer(dropout=0.1),
    ],
    ids=["DoRA", "residual", "norm", "half precision", "dropout"],
)
def test_other_layers_are_left_to_diffusers(made):
    other = made()
    assert attention.install(torch.nn.Sequential(other)) == 0
    assert isinstance(other.processor, AttnProcessor)


def test_masks_are_refused_and_not_ignored():
    made = layer()
    attention.install(torch.nn.Sequential(made))
    with pytest.raises(ValueError, match="masks"):
        made(torch.randn(1, TOKENS, WIDTH), attention_mask=torch.zeros(1, 1, TOKENS))


@pytest.mark.parametrize(
    ("changes", "used"), [({}, True), ({"use_dora": True}, False), ({"mixed_precision": "bf16"}, False)]
)
def test_a_run_on_a_cpu_in_fp32_uses_it(configure, monkeypatch, changes, used):
    seen = []
    switch_on = components._switch_on

    def watch(setup, parts):
        switch_on(setup, parts)
        seen.extend(type(processor) is LoraAttention for processor in parts["unet"].attn_processors.values())

    monkeypatch.setattr(components, "_switch_on", watch)
    run(configure(max_train_steps=1, **changes))
    assert seen
    assert all(found is used for found in seen)
