"""`models quantise`: a folder with int8 weights is a model like any other, read without fp32 weights in between."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextModel

from sdxl_lora.cli import main
from sdxl_lora.errors import InputError, LoraError, ModelUnavailableError, RequestError, StudioError
from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import building, int8, int8_file, quantising, registry
from sdxl_lora.models.loading import ModelConfig, load, unload
from sdxl_lora.request import GenerationRequest, LoraSpec
from tests import tiny

UNET = "unet/diffusion_pytorch_model.int8.safetensors"


@pytest.fixture(scope="module")
def small(tiny_sdxl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SDXL in int8. Read-only."""
    folder = tmp_path_factory.mktemp("int8") / "tiny"
    quantising.quantise(str(tiny_sdxl), folder)
    return folder


def _draw(folder: Path, **fields: Any) -> Image.Image:
    wish: dict[str, Any] = {"prompt": "a navy jacket", "model": str(folder), "steps": 3, "seed": 5, **fields}
    request = resolve(GenerationRequest(**wish))
    events = generate(load(ModelConfig.of(request, device="cpu")), request)
    return next(event.image for event in events if isinstance(event, PictureDone))


def _psnr(one: Image.Image, other: Image.Image) -> float:
    error = float(np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("kind", ["sdxl", "sd"])
def test_int8_draws_nearly_the_same_picture(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(f"tiny_{kind}")
    drawn, whole = _draw(folder, precision="int8"), _draw(folder, precision="fp32")
    assert 30 < _psnr(drawn, whole) < 90


def test_a_folder_draws_what_the_model_draws_in_int8(tiny_sdxl: Path, small: Path) -> None:
    assert _draw(small).tobytes() == _draw(small, precision="int8").tobytes()
    assert _psnr(_draw(small), _draw(tiny_sdxl, precision="int8")) > 45  # what is kept is in fp16 there


def test_the_registry_knows_its_size_precision_defaults_and_abilities(tiny_sdxl: Path, small: Path) -> None:
    plain, found = registry.describe(str(tiny_sdxl)), registry.describe(str(small))
    assert found.present
    assert (found.quantised, plain.quantised) == (True, False)
    assert (found.defaults, found.capabilities) == (plain.defaults, plain.capabilities)
    assert plain.bytes is not None
    assert found.bytes is not None
    assert 0.25 < found.bytes / plain.bytes < 0.45  # tiny layers have many scales


def test_of_the_bundled_model_everything_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smallest_int8_layer: int
) -> None:
    monkeypatch.setattr(int8, "SMALLEST", smallest_int8_layer)
    plain = registry.describe("mini")
    found = quantising.quantise("mini", tmp_path / "mini")
    assert (found.defaults, found.capabilities) == (plain.defaults, plain.capabilities)
    assert (tmp_path / "mini" / "clip" / "model.safetensors").is_file()
    assert (tmp_path / "mini" / "calibrations.json").is_file()
    parameters = sum(
        parameter.numel()
        for name, kind in building.PARTS["sdxl"].items()
        for parameter in int8_file.empty(kind, tmp_path / "mini" / name).parameters()
    )
    assert found.bytes is not None
    assert found.bytes / (4 * parameters) < 0.37  # 0.27 where layers are large, see test_footprint.py


def test_a_folder_that_an_earlier_version_made_with_every_layer_in_int8_is_drawn_from(
    small: Path, monkeypatch: pytest.MonkeyPatch, smallest_int8_layer: int
) -> None:
    before = _draw(small)
    unload()
    monkeypatch.setattr(int8, "SMALLEST", smallest_int8_layer)
    assert _draw(small).tobytes() == before.tobytes()
    unload()


def test_loading_maps_the_int8_weights_and_makes_no_others(small: Path) -> None:
    unet = int8_file.load(building.PARTS["sdxl"]["unet"], small / "unet", torch.bfloat16)
    assert {tensor.dtype for tensor in unet.state_dict().values()} == {torch.int8, torch.bfloat16}
    layers = [layer for layer in unet.modules() if int8.is_quantised(layer)]
    assert len(layers) > 50
    assert str(small / UNET) in Path("/proc/self/maps").read_text()
    convolution = unet.down_blocks[0].resnets[0].conv1
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_numbers_in_the_file_are_those_that_were_computed(tiny_sdxl: Path, small: Path) -> None:
    weight = load_file(tiny_sdxl / "unet" / "diffusion_pytorch_model.safetensors")[
        "down_blocks.0.resnets.0.conv1.weight"
    ]
    state = load_file(small / UNET)
    stored, scale = int8.quantise(weight)
    assert torch.equal(state["down_blocks.0.resnets.0.conv1.weight"].permute(0, 3, 1, 2), stored)
    assert torch.equal(state["down_blocks.0.resnets.0.conv1.scale"].float(), scale)


def test_a_file_says_which_layers_are_int8_also_embeddings_of_an_earlier_version(tmp_path: Path) -> None:
    part = tiny.sdxl_pipeline().text_encoder
    part.config.save_pretrained(tmp_path)
    names = {name for name, layer in part.named_modules() if type(layer) in (nn.Linear, nn.Embedding)}
    int8.quantise_layers(part, names)
    int8_file.save(part, tmp_path, "model")
    loaded = int8_file.load(CLIPTextModel, tmp_path, torch.float32)
    found = {name for name, layer in loaded.named_modules() if int8.is_quantised(layer)}
    assert found == names
    ids = torch.tensor([[512, 3, 5, 513]])
    with torch.no_grad():
        one, other = part.eval()(ids).last_hidden_state, loaded(ids).last_hidden_state
    assert torch.allclose(one, other, atol=1e-2)


def test_the_same_model_gives_the_same_bytes(tiny_sdxl: Path, small: Path, tmp_path: Path) -> None:
    quantising.quantise(str(tiny_sdxl), tmp_path / "again")
    names = [file.relative_to(small) for file in small.rglob("*") if file.is_file()]
    assert names
    assert all((small / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_other_programs_do_not_take_it_for_plain_weights(small: Path) -> None:
    with pytest.raises(OSError, match=r"[Nn]o file named"):
        StableDiffusionXLPipeline.from_pretrained(small, local_files_only=True)


@pytest.mark.parametrize("layout", ["peft", "kohya"])
def test_a_lora_is_merged_and_taken_out_again_to_the_bit(
    tiny_sdxl: Path, small: Path, tmp_path: Path, layout: str
) -> None:
    file = tiny.save_lora(tmp_path / "lora.safetensors", "sdxl", layout)
    loras = (LoraSpec(path=str(file)),)
    plain = _draw(small)
    changed = _draw(small, loras=loras)
    assert _psnr(changed, _draw(tiny_sdxl, precision="fp32", loras=loras)) > 25
    assert _psnr(changed, plain) < 20
    assert _draw(small).tobytes() == plain.tobytes()


def test_a_lora_that_fails_leaves_the_int8_weights_as_they_were(small: Path, tmp_path: Path) -> None:
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    state = {f"{name}.lora_A.weight": torch.randn(4, 32), f"{name}.lora_B.weight": torch.full((32, 4), 3e38)}
    save_file(state, tmp_path / "bad.safetensors")
    before = _draw(small).tobytes()
    with pytest.raises(LoraError, match="makes infinite numbers"):
        _draw(small, loras=(LoraSpec(path=str(tmp_path / "bad.safetensors")),))
    assert _draw(small).tobytes() == before


def _truncate(folder: Path) -> None:
    data = (folder / UNET).read_bytes()
    (folder / UNET).write_bytes(data[: len(data) // 2])


def _pickle(folder: Path) -> None:
    torch.save({"x": torch.zeros(2)}, folder / UNET)


def _other_shapes(folder: Path) -> None:
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({**config, "block_out_channels": [32, 32]}))


def _lose_one(folder: Path) -> None:
    with safe_open(folder / UNET, framework="pt") as file:
        header = file.metadata()
    state = load_file(folder / UNET)
    del state["conv_in.weight"]
    save_file(state, folder / UNET, metadata=header)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "is damaged or incomplete"),
        (_pickle, "is damaged or incomplete"),
        (_other_shapes, "does not fit config.json"),
        (_lose_one, "does not fit config.json"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(
    small: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "damaged"))
    damage(folder)
    with pytest.raises(ModelUnavailableError, match=reason) as error:
        _draw(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_precisions_of_an_int8_folder_are_refused(small: Path, precision: str) -> None:
    with pytest.raises(RequestError, match=f"weights are int8, precision {precision} cannot bring back"):
        _draw(small, precision=precision)


def test_int8_is_torchs_alone(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdxl_lora.models.conversions.version", lambda: "2026.4.1")
    monkeypatch.setenv("SDXL_LORA_ENGINE", "auto")
    for wish in (
        GenerationRequest(prompt="a jacket", model=str(small)),
        GenerationRequest(prompt="a jacket", model="mini", precision="int8"),
    ):
        assert resolve(wish).engine == "torch"
        with pytest.raises(RequestError, match="engine openvino draws in bf16, not in int8"):
            resolve(replace(wish, engine="openvino"))


def test_an_int8_folder_is_not_quantised_again_and_nothing_is_written_over(
    tiny_sdxl: Path, small: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has int8 weights already"):
        quantising.quantise(str(small), tmp_path / "again")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already; choose a new folder"):
        quantising.quantise(str(tiny_sdxl), tmp_path / "full")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_what_fails_on_the_way_leaves_nothing(tiny_sdxl: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_sdxl, tmp_path / "own"))
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(StudioError, match="cannot be loaded") as error:
        quantising.quantise(str(folder), tmp_path / "new")
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]


def test_on_the_command_line(tiny_sdxl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unload()
    assert main(["models", "quantise", str(tiny_sdxl), "--output", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["folder"], said["quantised"]) == (str(tmp_path / "out"), True)
    assert main(["models", "quantise", str(tiny_sdxl), "--output", str(tmp_path / "out")]) == 2
    assert "is there already" in capsys.readouterr().err
