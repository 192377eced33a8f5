"""Every part of a model is loaded from the file that fits its precision, and decodes in what it bears."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sdxl_lora.models import building, decoding, registry
from sdxl_lora.models.loading import ModelConfig, load
from tests import tiny


@pytest.fixture
def model(tiny_sdxl: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sdxl, tmp_path / "own"))


def _add_half(part: Path, *, keep: bool) -> None:
    """Weights of half the size and value under the name of the fp16 variant."""
    (file,) = part.glob("*.safetensors")
    state = {key: (value / 2).half() for key, value in load_file(file).items()}
    save_file(state, file.with_name(f"{file.stem}.fp16.safetensors"), metadata={"format": "pt"})
    if not keep:
        file.unlink()


def test_parts_may_come_in_different_variants(model: Path) -> None:
    _add_half(model / "vae", keep=False)
    pipeline = load(ModelConfig(model=str(model), precision="fp32")).engine.pipeline
    assert pipeline.vae.dtype == pipeline.unet.dtype == torch.float32


def test_where_both_variants_are_there_single_precision_reads_the_whole_numbers(model: Path) -> None:
    _add_half(model / "unet", keep=True)
    whole = load_file(model / "unet" / "diffusion_pytorch_model.safetensors")
    for precision in ("fp32", "bf16"):
        unet = load(ModelConfig(model=str(model), precision=precision)).engine.pipeline.unet
        assert torch.equal(unet.conv_in.weight, whole["conv_in.weight"].to(unet.dtype))
    assert building.variant_of(model / "unet", torch.float16) == "fp16"


def test_sharded_weights_of_either_variant_are_loaded(model: Path) -> None:
    tiny.sdxl_pipeline().unet.save_pretrained(model / "half", max_shard_size="40KB", variant="fp16")
    shutil.rmtree(model / "unet")
    (model / "half").rename(model / "unet")
    assert len(list((model / "unet").glob("*.safetensors"))) > 1
    assert registry.describe(str(model)).present
    assert load(ModelConfig(model=str(model), precision="fp32")).engine.parameters > 0
    next((model / "unet").glob("*-00002-of-*.safetensors")).unlink()
    assert not registry.describe(str(model)).present


def test_a_part_that_is_never_loaded_needs_no_weights(tiny_sd: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_sd, tmp_path / "sd"))
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "config.json").write_text("{}")
    (folder / "safety_checker" / "pytorch_model.bin").write_bytes(b"anything")
    assert registry.describe(str(folder)).present
    assert load(ModelConfig(model=str(folder), precision="fp32")).architecture == "sd"


def test_only_sdxls_decoder_goes_back_to_single_precision() -> None:
    vae = tiny.vae().half()
    assert vae.config.force_upcast  # diffusers' default, where a file says nothing
    assert building.decodes_in_single("sdxl", vae)
    assert not building.decodes_in_single("sd", vae)
    vae.register_to_config(force_upcast=False)
    assert not building.decodes_in_single("sdxl", vae)


def test_on_a_processor_bf16_decodes_too_and_the_picture_stays_the_same_to_the_eye(tiny_sdxl: Path) -> None:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    pictures = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        pipeline = load(ModelConfig(model=str(tiny_sdxl), precision=precision, device="cpu")).engine.pipeline  # type: ignore[arg-type]
        assert pipeline.vae.dtype == dtype
        pictures[precision] = np.asarray(decoding.decode(pipeline, latents), np.float64)
    error = np.mean((pictures["fp32"] - pictures["bf16"]) ** 2)
    assert 0 < error < 255**2 / 10**4  # 40 dB


def test_only_large_pictures_are_decoded_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = tiny.sdxl_pipeline()
    latents = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = decoding.decode(pipeline, latents)
    assert not pipeline.vae.use_tiling
    monkeypatch.setattr(decoding, "_LARGEST_WHOLE", 64 * 64)
    tiled = decoding.decode(pipeline, latents)
    assert pipeline.vae.use_tiling
    assert tiled.size == whole.size == (128, 128)
    assert tiled.tobytes() != whole.tobytes()
    decoding.decode(pipeline, latents[:, :, :16, :16])
    assert not pipeline.vae.use_tiling
