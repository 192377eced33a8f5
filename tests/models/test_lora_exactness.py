"""A LoRA is loaded exactly, as weights merged by hand and as stock diffusers have it, or refused with the reason."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor

from sdxl_lora.errors import LoraError
from sdxl_lora.models import lora
from sdxl_lora.models.layouts import to_kohya
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import LoraSpec
from tests import tiny

LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"  # 32 x 32
CONV = "down_blocks.1.resnets.0.conv1"  # 32 x 16 x 3 x 3
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


def _rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.3


def _weight(pipeline: Any, part: str, module: str) -> Tensor:
    names = dict(getattr(pipeline, part).named_parameters())
    known = module if f"{module}.weight" in names else module.removeprefix("text_model.")
    weight: Tensor = names[f"{known}.weight"]
    return weight.detach().clone()


def _load(folder: Path, file: Path, weight: float = 1.0) -> LoadedModel:
    return load(
        ModelConfig(model=str(folder), loras=(LoraSpec(path=str(file), weight=weight),), precision="fp32")
    )


def _changed(
    folder: Path,
    tmp_path: Path,
    state: Mapping[str, Tensor],
    *layers: tuple[str, str],
    header: Any = None,
    weight=1.0,
) -> list[tuple[Tensor, Tensor]]:
    """(weights before, weights with the LoRA on) of layers; afterwards every weight is what it was."""
    file = tmp_path / "lora.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, file, metadata=header)
    model = _load(folder, file, weight)
    layers = layers or (("unet", LINEAR),)
    before = [_weight(StableDiffusionXLPipeline.from_pretrained(folder), *layer) for layer in layers]
    with model.use() as engine:
        pipeline = engine.pipeline
        on = [_weight(pipeline, *layer) for layer in layers]
    with load(ModelConfig(model=str(folder), precision="fp32")).use() as engine:
        pipeline = engine.pipeline
        off = [_weight(pipeline, *layer) for layer in layers]
    assert all(torch.equal(one, other) for one, other in zip(before, off, strict=True))
    return list(zip(before, on, strict=True))


SPELLINGS = [  # (layer's name in the file, of the second factor, of the first)
    (f"unet.{LINEAR}.lora_A.weight", f"unet.{LINEAR}.lora_B.weight"),
    (f"unet.{LINEAR}.lora_A.default.weight", f"unet.{LINEAR}.lora_B.default.weight"),
    (f"unet._orig_mod.{LINEAR}.lora_A.weight", f"unet._orig_mod.{LINEAR}.lora_B.weight"),
    (f"base_model.model.{LINEAR}.lora_A.weight", f"base_model.model.{LINEAR}.lora_B.weight"),
    (f"unet.base_model.model.{LINEAR}.lora_A.weight", f"unet.base_model.model.{LINEAR}.lora_B.weight"),
    (f"unet.{LINEAR}.lora.down.weight", f"unet.{LINEAR}.lora.up.weight"),
    (
        f"unet.{LINEAR.replace('.to_q', '.processor.to_q')}_lora.down.weight",
        f"unet.{LINEAR.replace('.to_q', '.processor.to_q')}_lora.up.weight",
    ),
    *(
        (f"{flat}.lora_down.weight", f"{flat}.lora_up.weight")
        for flat in (
            f"lora_unet_{LINEAR.replace('.', '_')}",
            f"lora_unet.{LINEAR}",
            f"lycoris_{LINEAR.replace('.', '_')}",
            "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q",  # Stability's, of one layer a block
            "diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q",
        )
    ),
]


@pytest.mark.parametrize(("down", "up"), SPELLINGS)
def test_every_spelling_of_a_layer_changes_it_alike(
    tiny_sdxl: Path, tmp_path: Path, down: str, up: str
) -> None:
    a, b = _rand(4, 32), _rand(32, 4, seed=1)
    [(before, on)] = _changed(tiny_sdxl, tmp_path, {down: a, up: b})
    assert torch.allclose(on, before + b @ a, atol=1e-6)


@pytest.mark.parametrize(
    ("part", "module", "name"),
    [
        ("text_encoder", TEXT, f"lora_te1_{TEXT.replace('.', '_')}"),
        ("text_encoder_2", TEXT, f"lora_te2_{TEXT.replace('.', '_')}"),
        ("text_encoder_2", TEXT, f"text_encoder_2.{TEXT}"),
        ("text_encoder_2", "text_projection", "lora_te2_text_projection"),
        ("text_encoder", TEXT, f"text_encoders.clip_l.transformer.{TEXT}"),
    ],
)
def test_text_encoders_and_their_projection_are_changed(
    tiny_sdxl: Path, tmp_path: Path, part: str, module: str, name: str
) -> None:
    a, b = _rand(4, 32), _rand(32, 4, seed=1)
    state = {f"{name}.lora_down.weight": a, f"{name}.lora_up.weight": b, f"{name}.alpha": torch.tensor(2.0)}
    [(before, on)] = _changed(tiny_sdxl, tmp_path, state, (part, module))
    assert torch.allclose(on, before + 0.5 * b @ a, atol=1e-6)


def test_alphas_differ_per_module_and_the_weight_scales(tiny_sdxl: Path, tmp_path: Path) -> None:
    state: dict[str, torch.Tensor] = {}
    layers = [LINEAR, LINEAR.replace("to_q", "to_v")]
    for number, layer in enumerate(layers):
        name = f"lora_unet_{layer.replace('.', '_')}"
        state |= {
            f"{name}.lora_down.weight": _rand(4, 32, seed=number),
            f"{name}.lora_up.weight": _rand(32, 4, seed=number + 5),
            f"{name}.alpha": torch.tensor(1.0 + 6 * number),
        }
    found = _changed(tiny_sdxl, tmp_path, state, *(("unet", layer) for layer in layers), weight=0.5)
    for number, (before, on) in enumerate(found):
        difference = 0.5 * (1 + 6 * number) / 4 * _rand(32, 4, seed=number + 5) @ _rand(4, 32, seed=number)
        assert torch.allclose(on, before + difference, atol=1e-6)


def _peft_file(folder: Path, file: Path, **settings: Any) -> None:
    """What stock diffusers saves of a LoRA with random weights, its configuration in the header."""
    torch.manual_seed(3)
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
    config = LoraConfig(init_lora_weights=False, target_modules=["to_q", "to_v", "conv1"], **settings)
    pipeline.unet.add_adapter(config)
    from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
    from peft.utils import get_peft_model_state_dict

    plain = {
        f"unet.{k}": sorted(v) if isinstance(v, set) else v
        for k, v in pipeline.unet.peft_config["default"].to_dict().items()
        if isinstance(v, str | int | float | bool | dict | list | set)
    }
    state = {
        f"unet.{key}": value.contiguous() for key, value in get_peft_model_state_dict(pipeline.unet).items()
    }
    save_file(state, file, metadata={"format": "pt", LORA_ADAPTER_METADATA_KEY: json.dumps(plain)})


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 1},
        {"r": 4, "lora_alpha": 4},
        {"r": 4, "lora_alpha": 2, "use_rslora": True},
        {"r": 4, "lora_alpha": 2, "alpha_pattern": {"attn1.to_q": 8}},
        {"r": 4, "lora_alpha": 2, "rank_pattern": {"attn1.to_q": 2}},
        {"r": 4, "lora_alpha": 2, "use_dora": True},
    ],
    ids=str,
)
def test_stock_diffusers_draws_the_same_whatever_the_header_says(
    tiny_sdxl: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    file = tmp_path / "stock.safetensors"
    _peft_file(tiny_sdxl, file, **settings)
    stock = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl)
    stock.load_lora_weights(tmp_path, weight_name=file.name)
    expected, plain = _drawn(stock), _drawn(StableDiffusionXLPipeline.from_pretrained(tiny_sdxl))
    with _load(tiny_sdxl, file).use() as engine:
        pipeline = engine.pipeline
        ours = _drawn(pipeline)
    effect = (expected - plain).abs().max()
    assert effect > 1e-2
    assert (ours - expected).abs().max() < 1e-3 * effect


def _drawn(pipeline: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    return pipeline("a top", num_inference_steps=2, generator=generator, output_type="latent").images


def test_a_dora_is_the_same_from_either_layout(tiny_sdxl: Path, tmp_path: Path) -> None:
    file = tmp_path / "dora.safetensors"
    _peft_file(tiny_sdxl, file, r=4, lora_alpha=2, use_dora=True)
    state = load_file(file)
    alphas = {key.removesuffix(".lora_A.weight"): 2.0 for key in state if "lora_A" in key}
    save_file(to_kohya(state, alphas, "sdxl", 1), tmp_path / "kohya.safetensors")
    weights = []
    for path in (file, tmp_path / "kohya.safetensors"):
        with _load(tiny_sdxl, path).use() as engine:
            pipeline = engine.pipeline
            weights.append([_weight(pipeline, "unet", layer) for layer in (LINEAR, CONV)])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))


@pytest.mark.parametrize("per_output", [True, False])
def test_doras_magnitudes_are_lengths_per_output_or_per_input_as_the_file_has_them(
    tiny_sdxl: Path, tmp_path: Path, per_output: bool
) -> None:
    name = f"lora_unet_{CONV.replace('.', '_')}"
    a, b = _rand(4, 16, 3, 3), _rand(32, 4, 1, 1, seed=1)
    magnitude = _rand(32, 1, 1, 1).abs() if per_output else _rand(1, 16, 1, 1).abs()
    state = {f"{name}.lora_down.weight": a, f"{name}.lora_up.weight": b, f"{name}.dora_scale": magnitude}
    [(before, on)] = _changed(tiny_sdxl, tmp_path, state, ("unet", CONV))
    merged = before + torch.einsum("or,rikl->oikl", b.flatten(1), a)
    dimensions = (1, 2, 3) if per_output else (0, 2, 3)
    expected = merged / merged.square().sum(dimensions, keepdim=True).sqrt() * magnitude
    assert torch.allclose(on, expected, atol=1e-5)


def test_loha_lokr_and_differences_of_norms_are_merged_as_their_papers_have_them(
    tiny_sdxl: Path, tmp_path: Path
) -> None:
    value, norm = LINEAR.replace("to_q", "to_v"), LINEAR.replace("attn1.to_q", "norm1")
    flat = [f"lycoris_{layer.replace('.', '_')}" for layer in (LINEAR, value, norm, CONV)]
    w1a, w1b, w2a, w2b = _rand(32, 2), _rand(2, 32, seed=1), _rand(32, 2, seed=2), _rand(2, 32, seed=3)
    k1, k2a, k2b = _rand(4, 4), _rand(8, 2, seed=1), _rand(2, 8, seed=2)
    c1, c2 = _rand(4, 2), _rand(8, 8, 3, 3, seed=4)
    state = {
        **dict(
            zip(
                (f"{flat[0]}.hada_w{n}" for n in ("1_a", "1_b", "2_a", "2_b")),
                (w1a, w1b, w2a, w2b),
                strict=True,
            )
        ),
        f"{flat[0]}.alpha": torch.tensor(1.0),
        f"{flat[1]}.lokr_w1": k1,
        f"{flat[1]}.lokr_w2_a": k2a,
        f"{flat[1]}.lokr_w2_b": k2b,
        f"{flat[1]}.alpha": torch.tensor(1.0),
        f"{flat[2]}.w_norm": _rand(32),
        f"{flat[2]}.b_norm": _rand(32, seed=1),
        f"{flat[3]}.lokr_w1": c1,
        f"{flat[3]}.lokr_w2": c2,
        f"{flat[3]}.alpha": torch.tensor(1e10),  # what LyCORIS writes for full factors, which have no scale
    }
    layers = [("unet", layer) for layer in (LINEAR, value, norm, CONV)]
    loha, lokr, normed, conv = _changed(tiny_sdxl, tmp_path, state, *layers)
    assert torch.allclose(loha[1] - loha[0], 0.5 * (w1a @ w1b) * (w2a @ w2b), atol=1e-6)
    assert torch.allclose(lokr[1] - lokr[0], 0.5 * torch.kron(k1, k2a @ k2b), atol=1e-6)
    assert torch.allclose(normed[1] - normed[0], _rand(32), atol=1e-6)
    expected = torch.stack([torch.kron(c1, c2[:, :, i, j]) for i in range(3) for j in range(3)], -1)
    assert torch.allclose(conv[1] - conv[0], expected.reshape(32, 16, 3, 3), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16])
def test_reduced_numbers_are_read_as_what_they_are(
    tiny_sdxl: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    a, b = _rand(4, 32).to(dtype), _rand(32, 4, seed=1).to(dtype)
    state = {f"unet.{LINEAR}.lora_A.weight": a, f"unet.{LINEAR}.lora_B.weight": b}
    [(before, on)] = _changed(tiny_sdxl, tmp_path, state)
    assert torch.allclose(on, before + b.float() @ a.float(), atol=1e-6)


A, B = f"unet.{LINEAR}.lora_A.weight", f"unet.{LINEAR}.lora_B.weight"
REFUSED: list[tuple[dict[str, Tensor], str]] = [
    ({A: _rand(4, 32)}, r"is not whole: .*to_q lacks up of a LoRA"),
    ({B: _rand(32, 4)}, r"is not whole: .*to_q lacks down of a LoRA"),
    ({A: _rand(4, 32), B: _rand(32, 4), "unet.nowhere.lora_A.weight": _rand(4, 32)}, "unet.nowhere lacks up"),
    (
        {
            A: _rand(4, 32),
            B: _rand(32, 4),
            "unet.no.lora_A.weight": _rand(4, 32),
            "unet.no.lora_B.weight": _rand(8, 4),
        },
        r"fits 1 of 2 modules of .*, which has no unet\.no;",
    ),
    (
        {A: _rand(4, 32), B: _rand(32, 4), "bundle_emb.halden.clip_l": _rand(1, 32)},
        "a bundled text embedding",
    ),
    ({A: _rand(4, 32), B: _rand(32, 4), A.replace("lora_A", "oft_blocks"): _rand(4, 4)}, "holds an OFT"),
    ({A: _rand(4, 32), B: _rand(32, 4), B.replace("weight", "bias"): _rand(32)}, "a LoRA with biases"),
    (
        {A: _rand(4, 32), B: _rand(32, 4), A.replace(".weight", ".other.weight"): _rand(4, 32)},
        "are for the same factor",
    ),
    ({f"unet.{LINEAR}.hada_w1_a": _rand(32, 2)}, "lacks hada_w1_b and hada_w2_a and hada_w2_b of a LoHa"),
    ({f"unet.{LINEAR}.alpha": torch.tensor(1.0)}, "has an alpha or magnitudes but no factors"),
]


@pytest.mark.parametrize(("state", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_cannot_be_loaded_exactly_is_refused_before_anything_is_loaded(
    tiny_sdxl: Path, tmp_path: Path, state: dict[str, Tensor], reason: str
) -> None:
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(LoraError, match=reason) as error:
        _load(tiny_sdxl, tmp_path / "x.safetensors")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        5,
        {"unet.lora_alpha": "much"},
        {"unet.lora_alpha": math.nan},
        {"unet.lora_alpha": 10**400},
        {"unet.lora_alpha": 1, "unet.alpha_pattern": ["attn1.to_q"]},
        {"unet.lora_alpha": 1, "unet.alpha_pattern": {"attn1.to_q": "much"}},
        {"unet.lora_alpha": 1, "unet.alpha_pattern": {"(": 1}},
    ],
    ids=str,
)
def test_a_header_that_does_not_say_the_alpha_is_refused(
    tiny_sdxl: Path, tmp_path: Path, settings: Any
) -> None:
    header = {"lora_adapter_metadata": json.dumps(settings)}
    save_file({A: _rand(4, 32), B: _rand(32, 4)}, tmp_path / "x.safetensors", metadata=header)
    with pytest.raises(LoraError, match="configuration in the file's header is damaged"):
        _load(tiny_sdxl, tmp_path / "x.safetensors").use().__enter__()


@pytest.mark.parametrize(
    ("b", "reason"),
    [
        (_rand(31, 4), "is for a layer of 31 x 32, where the model has 32 x 32"),
        (_rand(32, 5), "factors that do not go together"),
        (torch.full((32, 4), math.nan), "NaN or infinite"),
        (torch.full((32, 4), 3e38), "makes infinite numbers"),
    ],
    ids=["other shape", "other rank", "NaN", "overflow"],
)
def test_a_file_that_fails_while_loading_leaves_the_model_as_it_was(
    tiny_sdxl: Path, tmp_path: Path, b: Tensor, reason: str
) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save_file({A: _rand(4, 32), B: _rand(32, 4)}, good)
    save_file({A: _rand(4, 32) * 100, B: b}, bad)
    with _load(tiny_sdxl, good).use():
        pass
    with pytest.raises(LoraError, match=reason), _load(tiny_sdxl, bad).use():
        pass
    with load(ModelConfig(model=str(tiny_sdxl), precision="fp32")).use() as engine:
        pipeline = engine.pipeline
        stock = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl).unet.state_dict()
        assert all(torch.equal(value, stock[key]) for key, value in pipeline.unet.state_dict().items())


def test_a_loaded_lora_is_no_longer_tied_to_the_disk(tiny_sdxl: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({A: _rand(4, 32), B: _rand(32, 4)}, file)
    model = _load(tiny_sdxl, file)
    with model.use() as engine:
        pipeline = engine.pipeline
        before = _drawn(pipeline)
        file.write_bytes(b"short")  # in place: whoever had it mapped would be killed
        assert torch.equal(_drawn(pipeline), before)


def test_a_drawing_model_has_no_layers_more_than_without_loras(tiny_sdxl: Path, tmp_path: Path) -> None:
    save_file({A: _rand(4, 32), B: _rand(32, 4)}, tmp_path / "x.safetensors")
    plain = [name for name, _ in tiny.sdxl_pipeline().unet.named_modules()]
    with _load(tiny_sdxl, tmp_path / "x.safetensors").use() as engine:
        pipeline = engine.pipeline
        assert [name for name, _ in pipeline.unet.named_modules()] == plain


def test_unloading_undoes_in_the_opposite_order() -> None:
    layer = torch.nn.LayerNorm(2)
    originals = [(layer, "bias", torch.ones(2)), (layer, "bias", torch.full((2,), 2.0))]
    adapters = lora.MergedAdapters(originals=originals)
    adapters.unload()
    assert torch.equal(layer.bias, torch.ones(2))
    assert adapters.originals == []
