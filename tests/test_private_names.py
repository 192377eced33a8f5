"""Names of libraries that are not promised: all that the project uses, and whether each still does what it is used for.

`PRIVATE` is complete: a test reads every source file. An upgrade that takes a name away, or changes what it does, fails
here by that name. What else is relied on without a promise is below it: messages that are silenced, methods that are
replaced, attributes that are read with other ways of saying so.
"""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline, SchedulerMixin
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from sdxl_lora.mini.optimisation import MovingAverage
from sdxl_lora.models import pipeline_internals, previews, schedulers
from sdxl_lora.models.quiet import quiet
from sdxl_lora.training.cpu import packed
from tests import tiny

PACKAGE = Path(__file__).parents[1] / "sdxl_lora"
PRIVATE = {
    "jobs/store.py": {"_mapping"},  # of SQLAlchemy's rows, documented in spite of its name
    "models/pipeline_internals.py": {
        "_interrupt",
        "_guidance_scale",
        "_callback_tensor_inputs",
        "_execution_device",
        "_modules",
        "_internal_dict",
    },
    "models/recorded_network.py": {"_pytree"},
    "training/adapter.py": {"_foreach_copy_", "_foreach_add_"},
    "training/cpu/attention.py": {"_softmax_backward_data"},
    "training/cpu/blocks.py": {"_gradient_checkpointing_func"},
    "training/cpu/packed.py": {
        "_reorder_linear_weight",
        "_linear_pointwise",
        "_reorder_convolution_weight",
        "_convolution_pointwise",
    },
    "models/live_bytes.py": {"_python_dispatch", "_pytree", "_scaled_dot_product_flash_attention"},
    "training/estimates.py": {"_base"},
    "training/fitting.py": {"_scaled_dot_product_flash_attention"},
}


def private_names(tree: ast.Module) -> Iterator[str]:
    """Single-underscore attributes that the file does not define itself, and private imports from elsewhere."""
    own = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls"):
            own.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)  # a dataclass's field
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr not in own:
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("sdxl_lora"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        else:
            continue
        yield from (name for name in names if name.startswith("_") and not name.startswith("__"))


def test_the_list_is_complete() -> None:
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if names := set(private_names(ast.parse(path.read_text("utf-8")))):
            found[path.relative_to(PACKAGE).as_posix()] = names
    assert found == PRIVATE


# ------------------------------------------------------------------ diffusers' pipelines


@pytest.fixture(scope="module", params=["sdxl", "sd"])
def pipeline(request: pytest.FixtureRequest) -> DiffusionPipeline:
    return tiny.sdxl_pipeline() if request.param == "sdxl" else tiny.sd_pipeline()


def run(pipeline: DiffusionPipeline, callback: Any, **changes: Any) -> torch.Tensor:
    """Latents of six steps at guidance 5, `callback` after each."""
    latents: torch.Tensor = pipeline(
        "a cap",
        num_inference_steps=6,
        guidance_scale=5.0,
        width=tiny.SIDE,
        height=tiny.SIDE,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        callback_on_step_end=callback,
        **changes,
    ).images
    return latents


def test_a_stopped_call_returns_the_latents_of_its_last_step(pipeline: DiffusionPipeline) -> None:
    seen: list[torch.Tensor] = []

    def stop_after_two(
        running: DiffusionPipeline, step: int, _: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        seen.append(tensors["latents"])
        if step == 1:
            pipeline_internals.stop(running)
        return {}

    latents = run(pipeline, stop_after_two)
    assert len(seen) == 2
    assert torch.equal(latents, seen[-1])


def test_guidance_is_taken_from_the_running_call_at_every_step(pipeline: DiffusionPipeline) -> None:
    batches: list[int] = []
    hook = pipeline.unet.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    names = [
        name for name in pipeline_internals.callback_tensors(pipeline) if not name.startswith("negative_")
    ]

    def unguided_after_two(
        running: DiffusionPipeline, step: int, _: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        if step != 1:
            return {}
        pipeline_internals.set_guidance_scale(running, 1.0)
        return {name: tensors[name].chunk(2)[1] for name in names if name != "latents"}

    run(pipeline, unguided_after_two, callback_on_step_end_tensor_inputs=names)
    hook.remove()
    assert batches == [2, 2, 1, 1, 1, 1]
    assert {"latents", "prompt_embeds"} <= set(names)


def test_a_copied_pipeline_shares_weights_and_nothing_of_a_call(pipeline: DiffusionPipeline) -> None:
    own, other_sampler = pipeline.scheduler, schedulers.make("ddim", pipeline.scheduler)
    other = pipeline_internals.copy_of(pipeline, other_sampler)
    assert other.unet is pipeline.unet
    assert (other.scheduler, pipeline.scheduler) == (other_sampler, own)
    assert pipeline.config["scheduler"][1] == type(own).__name__
    before = run(pipeline, lambda *_: {})

    def stop_at_once(running: DiffusionPipeline, *_: Any) -> dict[str, Any]:
        pipeline_internals.stop(running)
        return {}

    run(other, stop_at_once)
    assert not pipeline.interrupt
    assert torch.equal(run(pipeline, lambda *_: {}), before)


class Network:
    """Something that is no `nn.Module`, as OpenVINO's network is none, and draws as the UNet does."""

    def __init__(self, unet: Any) -> None:
        self._unet, self.calls = unet, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self._unet(*args, **kwargs)


def test_a_copied_pipeline_draws_with_the_network_it_was_given(pipeline: DiffusionPipeline) -> None:
    other = pipeline_internals.copy_of(pipeline, schedulers.make("ddim", pipeline.scheduler))
    network = Network(pipeline.unet)
    pipeline_internals.replace_network(other, network)
    run(other, lambda *_: {})
    assert network.calls == 6
    assert pipeline.unet is not network


@pytest.mark.parametrize("name", schedulers.NAMES)
def test_a_pipeline_steps_by_the_samplers_replaced_method(name: str, pipeline: DiffusionPipeline) -> None:
    sampler: SchedulerMixin = schedulers.make(name, pipeline.scheduler)
    other = pipeline_internals.copy_of(pipeline, sampler)
    told: list[bool] = []

    def after(_: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        told.append(not torch.equal(predictions.latest(tensors["latents"]), tensors["latents"]))
        return {}

    with previews.Predictions(sampler) as predictions:
        run(other, after)
    assert any(told)  # the sampler tells what it expects, or previews would show the noisy latents
    assert "step" not in vars(sampler)


def test_a_pipelines_warning_of_a_long_prompt_is_known_by_its_words(
    pipeline: DiffusionPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        caplog.clear()
        pipeline.encode_prompt(
            "x" * 200, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        pipeline.tokenizer("x" * 200, truncation=False)
        return [record.getMessage() for record in caplog.records]

    for logger in ("diffusers", "transformers"):
        caplog.set_level(logging.WARNING, logger=logger)  # a training in this process raised it
        logging.getLogger(logger).addHandler(caplog.handler)
    pipeline.tokenizer.deprecation_warnings = {}  # it warns of a length once
    try:
        assert told()
        pipeline.tokenizer.deprecation_warnings = {}
        with quiet():
            assert told() == []
    finally:
        for logger in ("diffusers", "transformers"):
            logging.getLogger(logger).removeHandler(caplog.handler)


# ------------------------------------------------------------------ PyTorch


def test_many_tensors_are_copied_and_added_at_once() -> None:
    into, halves = [torch.ones(2), torch.ones(3)], [torch.full((2,), 0.5, dtype=torch.bfloat16)]
    torch._foreach_copy_(into[:1], halves)
    torch._foreach_add_(into, [torch.ones(2), torch.ones(3)])
    assert [tensor.tolist() for tensor in into] == [[1.5, 1.5], [2.0, 2.0, 2.0]]


def test_the_gradient_of_softmax_is_that_of_autograd() -> None:
    x, gradient = torch.randn(2, 5, requires_grad=True), torch.randn(2, 5)
    share = x.softmax(-1)
    (expected,) = torch.autograd.grad(share, x, gradient)
    torch.testing.assert_close(torch._softmax_backward_data(gradient, share, -1, share.dtype), expected)


def test_a_transformer_with_checkpointing_has_the_function_it_runs_blocks_by() -> None:
    unet = tiny.sdxl_pipeline().unet
    unet.enable_gradient_checkpointing()
    frames = [module for module in unet.modules() if isinstance(module, Transformer2DModel)]
    assert frames
    x = torch.ones(2, requires_grad=True)
    assert all(frame._gradient_checkpointing_func(torch.square, x).tolist() == [1, 1] for frame in frames)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
@pytest.mark.parametrize("layer", [nn.Linear(256, 300), nn.Conv2d(8, 12, 3, padding=1)])
def test_packed_layers_give_what_plain_ones_do(layer: nn.Linear | nn.Conv2d) -> None:
    layer.requires_grad_(False)
    linear = isinstance(layer, nn.Linear)
    x = torch.randn((64, 256) if linear else (2, 8, 6, 6))
    ours = packed.PackedLinear(layer) if isinstance(layer, nn.Linear) else packed.PackedConv(layer)
    torch.testing.assert_close(ours(x), layer(x), rtol=1e-4, atol=1e-4)


def test_flash_attention_has_a_shape_without_data_and_keeps_no_scores() -> None:
    q = torch.empty(1, 2, 64, 8, device="meta")
    found = torch.ops.aten._scaled_dot_product_flash_attention(q, q, q)
    assert found[0].shape == q.shape
    assert max(part.numel() for part in found if isinstance(part, torch.Tensor)) == q.numel()


def test_a_view_knows_whose_memory_it_is() -> None:
    whole = torch.zeros(4)
    assert whole._base is None
    assert whole[:2]._base is whole


def test_pytorchs_average_is_a_step_of_the_given_share() -> None:
    module = nn.Linear(3, 2)
    average = MovingAverage(module, 0.5)
    expected = [parameter.detach().clone() for parameter in module.parameters()]
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), expected, strict=True):
            parameter.add_(1)
            value.lerp_(parameter, 1 - 2 / 11)
    average.update(module)
    assert all(torch.equal(ours, value) for ours, value in zip(average.averages, expected, strict=True))


def test_the_compilers_limit_is_a_setting() -> None:
    assert isinstance(torch.compiler.config.recompile_limit, int)
