"""LoRAs of two layouts go on and come off without a trace; what does not fit is refused before loading."""

from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdxl_lora.errors import LoraError, ModelUnavailableError, RequestError
from sdxl_lora.models import lora, lora_place
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import LoraSpec
from tests import tiny


def _model(folder: Path, *specs: LoraSpec) -> LoadedModel:
    return load(ModelConfig(model=str(folder), loras=specs, precision="fp32"))


def _latents(model: LoadedModel) -> torch.Tensor:
    with model.use() as engine:
        pipeline = engine.pipeline
        images = pipeline(
            "a jacket",
            num_inference_steps=1,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images
    return cast(torch.Tensor, images)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """LoRA files of the tiny models by architecture and layout."""
    folder = tmp_path_factory.mktemp("loras")
    names = [(kind, layout) for kind in ("sdxl", "sd") for layout in ("peft", "kohya")]
    return {
        f"{kind}-{layout}": tiny.save_lora(folder / f"{kind}-{layout}.safetensors", kind, layout)  # type: ignore[arg-type]
        for kind, layout in names
    }


@pytest.mark.parametrize("kind", ["sdxl", "sd"])
def test_both_layouts_change_the_picture_alike(
    kind: str, files: dict[str, Path], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(f"tiny_{kind}")
    plain = _latents(_model(folder))
    peft = _latents(_model(folder, LoraSpec(path=str(files[f"{kind}-peft"]))))
    kohya = _latents(_model(folder, LoraSpec(path=str(files[f"{kind}-kohya"]))))
    assert not torch.allclose(plain, peft, atol=0.01)
    assert torch.allclose(peft, kohya, atol=1e-5)


def test_after_a_lora_the_model_is_bit_for_bit_what_it_was(tiny_sdxl: Path, files: dict[str, Path]) -> None:
    before = _latents(_model(tiny_sdxl))
    weights = {
        key: value.clone() for key, value in _model(tiny_sdxl).engine.pipeline.unet.state_dict().items()
    }
    _latents(_model(tiny_sdxl, LoraSpec(path=str(files["sdxl-peft"]))))
    assert torch.equal(_latents(_model(tiny_sdxl)), before)
    after = _model(tiny_sdxl).engine.pipeline.unet.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[key], weights[key]) for key in weights)


def test_the_weight_scales_the_effect_and_zero_turns_it_off(tiny_sdxl: Path, files: dict[str, Path]) -> None:
    path = str(files["sdxl-peft"])
    plain = _latents(_model(tiny_sdxl))
    effects = {
        weight: (_latents(_model(tiny_sdxl, LoraSpec(path=path, weight=weight))) - plain).abs().mean()
        for weight in (0.0, 0.1, 1.0)
    }
    assert effects[0.0] == 0
    assert 0 < effects[0.1] < effects[1.0]


def test_several_loras_are_on_together(tiny_sdxl: Path, files: dict[str, Path], tmp_path: Path) -> None:
    first = files["sdxl-peft"]
    second = tmp_path / "opposite.safetensors"
    state = load_file(first)
    save_file({key: -value if "lora_B" in key else value for key, value in state.items()}, second)
    both = _latents(_model(tiny_sdxl, LoraSpec(path=str(first)), LoraSpec(path=str(second))))
    assert torch.allclose(both, _latents(_model(tiny_sdxl)), atol=1e-3)


def test_taking_other_loras_does_not_reload_the_base(tiny_sdxl: Path, files: dict[str, Path]) -> None:
    assert _model(tiny_sdxl).base is _model(tiny_sdxl, LoraSpec(path=str(files["sdxl-peft"]))).base


def test_a_lora_works_on_a_reduced_model(tiny_sdxl: Path, files: dict[str, Path]) -> None:
    spec = LoraSpec(path=str(files["sdxl-peft"]))
    plain = _latents(load(ModelConfig(model=str(tiny_sdxl), precision="bf16")))
    changed = _latents(load(ModelConfig(model=str(tiny_sdxl), precision="bf16", loras=(spec,))))
    exact = _latents(_model(tiny_sdxl, spec))
    assert (changed - exact).abs().mean() < (changed - plain).abs().mean() / 10


def test_a_folder_means_the_standard_file_or_the_only_one(files: dict[str, Path], tmp_path: Path) -> None:
    only = tmp_path / "anything.safetensors"
    only.write_bytes(files["sd-peft"].read_bytes())
    assert lora_place.find(LoraSpec(path=str(tmp_path))) == only
    standard = tmp_path / lora_place.STANDARD_NAME
    standard.write_bytes(only.read_bytes())
    assert lora_place.find(LoraSpec(path=str(tmp_path))) == standard


def test_a_folder_with_several_files_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(LoraError, match=r"holds a\.safetensors, b\.safetensors; name one file"):
        lora_place.find(LoraSpec(path=str(tmp_path)))


def test_the_header_tells_the_text_width_in_both_layouts(files: dict[str, Path]) -> None:
    widths = {name: lora.inspect(path).text_width for name, path in files.items()}
    assert widths == {"sdxl-peft": 64, "sdxl-kohya": 64, "sd-peft": 32, "sd-kohya": 32}


@pytest.mark.parametrize(
    ("key", "width"),
    [
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", 2048),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight", 768),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v.lora.down.weight", 1024),
        ("lora_unet_output_blocks_3_1_transformer_blocks_0_attn2_to_k.lora_down.weight", 2048),
        ("base_model.model.mid_block.transformer_blocks.0.attn2.to_k.lora_A.default.weight", 768),
    ],
)
def test_the_spellings_of_all_known_layouts_are_understood(key: str, width: int, tmp_path: Path) -> None:
    file = tmp_path / "any.safetensors"
    save_file({key: torch.zeros(4, width)}, file)
    assert lora.inspect(file).text_width == width


def test_a_lora_of_another_architecture_is_refused_naming_both(tiny_sd: Path, tmp_path: Path) -> None:
    file = tmp_path / "brand.safetensors"
    save_file({"lora_unet_x_attn2_to_k.lora_down.weight": torch.zeros(4, 2048)}, file)
    message = (
        r"brand\.safetensors is for SDXL \(text width 2048\), but .* is Stable Diffusion \(text width 32\)"
    )
    with pytest.raises(LoraError, match=message) as error:
        _model(tiny_sd, LoraSpec(path=str(file)))
    assert "\n" not in str(error.value)


def test_a_lora_for_a_second_text_encoder_is_refused_where_there_is_none(
    tiny_sd: Path, tmp_path: Path
) -> None:
    file = tmp_path / "two.safetensors"
    save_file({"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(4, 32)}, file)
    with pytest.raises(LoraError, match="is for SDXL, but"):
        _model(tiny_sd, LoraSpec(path=str(file)))


def test_a_lora_of_another_shape_leaves_nothing_behind(
    tiny_sdxl: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    before = _latents(_model(tiny_sdxl))
    state = {
        key: torch.randn(value.shape[0] + 3, value.shape[1]) if "attn1.to_q.lora_B" in key else value
        for key, value in load_file(files["sdxl-peft"]).items()
    }
    file = tmp_path / "wider.safetensors"
    save_file(state, file)
    model = _model(tiny_sdxl, LoraSpec(path=str(file)))
    with pytest.raises(LoraError, match=r"wider\.safetensors does not fit this model"), model.use():
        pass
    assert torch.equal(_latents(_model(tiny_sdxl)), before)


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt"])
def test_files_that_can_run_code_are_refused(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"lora{suffix}"
    file.write_bytes(b"anything")
    with pytest.raises(LoraError, match="can run code"):
        lora_place.find(LoraSpec(path=str(file)))


def test_a_missing_file_is_told() -> None:
    with pytest.raises(LoraError, match="there is no LoRA at"):
        lora_place.find(LoraSpec(path="/no/such/file.safetensors"))


def test_a_hub_id_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(ModelUnavailableError, match="someone/lora is not on this machine"):
        lora_place.find(LoraSpec(path="someone/lora"))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"unet.conv_in.weight": torch.zeros(1)}, "holds no LoRA"),
        ({"lora_unet_x.oft_blocks": torch.zeros(1)}, "it holds an OFT, which is not supported"),
    ],
)
def test_files_that_are_no_lora_are_told(state: dict[str, torch.Tensor], reason: str, tmp_path: Path) -> None:
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(LoraError, match=reason):
        lora.inspect(tmp_path / "x.safetensors")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"not a header")
    with pytest.raises(LoraError, match="cannot be read as safetensors"):
        lora.inspect(tmp_path / "x.safetensors")


def test_a_lora_with_nan_in_it_is_refused(tiny_sdxl: Path, files: dict[str, Path], tmp_path: Path) -> None:
    state = load_file(files["sdxl-peft"])
    next(iter(state.values())).fill_(float("nan"))
    file = tmp_path / "nan.safetensors"
    save_file(state, file)
    model = _model(tiny_sdxl, LoraSpec(path=str(file)))
    with pytest.raises(LoraError, match="NaN"), model.use():
        pass


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 0.5)])
def test_a_lora_given_twice_is_refused(
    weights: tuple[float, float], tiny_sdxl: Path, files: dict[str, Path]
) -> None:
    specs = [LoraSpec(path=str(files["sdxl-peft"]), weight=weight) for weight in weights]
    with pytest.raises(LoraError, match="is given twice"):
        _model(tiny_sdxl, *specs)


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(RequestError, match="LoRA weight nan"):
        LoraSpec(path="x", weight=float("nan"))
