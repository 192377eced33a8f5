"""The LoRA in a frozen model of half precision: fp32 parameters, and the copies its layers multiply with."""

import pytest
import torch

from sdxl_lora.training.adapter import Adapter, LoraSettings
from sdxl_lora.training.events import StepRecord
from tests import tiny
from tests.training.conftest import run


def adapter(compute: torch.dtype = torch.bfloat16, **settings) -> Adapter:
    unet = tiny.sdxl_pipeline().unet.to(compute)
    made = Adapter({"unet": unet}, LoraSettings(**{"rank": 2, "alpha": 2, **settings}), 0, compute)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
    made.refresh()
    return made


def backward(made: Adapter, factor: float = 1.0) -> None:
    torch.manual_seed(0)
    unet, dtype = made.parts["unet"], next(made.parts["unet"].parameters()).dtype
    added = {"text_embeds": torch.randn(2, 32).to(dtype), "time_ids": torch.ones(2, 6)}
    context, noisy = torch.randn(2, 5, 64).to(dtype), torch.randn(2, 4, 16, 16).to(dtype)
    answer = unet(noisy, torch.tensor([3, 500]), context, added_cond_kwargs=added, return_dict=False)[0]
    (factor * answer.float().square().mean()).backward()
    made.take_gradients()


def test_layers_multiply_with_half_precision_and_the_parameters_are_fp32():
    made = adapter()
    inside = {name: p.dtype for name, p in made.parts["unet"].named_parameters() if "lora_" in name}
    assert set(inside.values()) == {torch.bfloat16}
    assert {parameter.dtype for parameter in made.parameters()} == {torch.float32}


def test_no_layer_casts_its_input(monkeypatch):
    """peft casts the input of every layer to the type of its LoRA: nothing to do where both are bf16."""
    made, types = adapter(), []
    for name, module in made.parts["unet"].named_modules():
        if name.endswith(("lora_A.default", "lora_B.default")):
            module.register_forward_hook(
                lambda _, given, result: types.append((given[0].dtype, result.dtype))
            )
    backward(made)
    assert set(types) == {(torch.bfloat16, torch.bfloat16)}


def test_gradients_of_several_steps_add_up_in_fp32():
    made = adapter()
    backward(made)
    once = [parameter.grad.clone() for parameter in made.parameters()]
    made.zero_gradients()
    backward(made)
    backward(made, 1 / 256)  # in bf16 a step this small would be lost beside the other
    for parameter, one in zip(made.parameters(), once, strict=True):
        assert parameter.grad.dtype == torch.float32
        torch.testing.assert_close(parameter.grad, one * (1 + 1 / 256), rtol=3e-5, atol=1e-12)
    made.zero_gradients()
    assert all(parameter.grad is None for parameter in made.parameters())


def test_what_is_saved_are_the_fp32_parameters_and_not_their_copies():
    made = adapter()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1e-6)  # vanishes in bf16
    made.refresh()
    names = {name.replace(".default", ""): parameter for name, parameter in made.named_parameters()}
    state = made.state()
    assert state.keys() == names.keys()
    assert all(torch.equal(value, names[name]) for name, value in state.items())


def test_what_changes_in_the_parameters_is_used_after_a_refresh():
    made = adapter()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(2.0)
    made.refresh()
    inside = [p for name, p in made.parts["unet"].named_parameters() if "lora_" in name]
    assert all((parameter == 2).all() for parameter in inside)


@pytest.mark.parametrize("changes", [{"use_dora": True}, {"lora_target": "attention+conv"}])
def test_bf16_trains_as_fp32_does_within_its_rounding(configure, tmp_path, changes):
    def losses(**more):
        return [e.loss for e in run(configure(**changes, **more)) if isinstance(e, StepRecord)]

    full = losses(mixed_precision="no")
    half = losses(mixed_precision="bf16", output_dir=str(tmp_path / "half"))
    assert half == pytest.approx(full, rel=0.02)
