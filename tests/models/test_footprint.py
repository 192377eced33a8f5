"""What drawing needs is counted on sizes alone, and is what a real run needs; too little is said before loading."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sdxl_lora.errors import InputError, MemoryLimitError
from sdxl_lora.models import building, footprint, int8, offloading, registry, room
from sdxl_lora.models.live_bytes import peak_of
from sdxl_lora.models.loading import ModelConfig, load, unload

MB = 1_000_000


@pytest.mark.parametrize("kind", ["sdxl", "sd"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_count_is_what_a_real_picture_needs(
    kind: str, precision: Any, request: pytest.FixtureRequest
) -> None:
    info = registry.describe(str(request.getfixturevalue(f"tiny_{kind}")))
    counted = footprint.of(info, precision, "cpu", (128, 128))
    assert info.folder is not None
    pipeline = building.build(info, info.folder, "cpu", precision)
    for name in counted.weights:
        part = getattr(pipeline, name)
        tensors = (*part.parameters(), *part.buffers())
        assert counted.weights[name] == sum(tensor.nbytes for tensor in tensors)
    sizes = footprint.sizes_of(info)
    unet: Any = pipeline.unet
    inputs = footprint.unet_inputs(unet, sizes, (128, 128), batch=2)
    real = {name: _real(value) for name, value in inputs.items()}
    sample, time = real.pop("sample"), real.pop("timestep")
    needed = peak_of(lambda: unet(sample, time, **real, return_dict=False), besides=unet)
    assert counted.working["unet"] == pytest.approx(needed, rel=0.1)
    latents = torch.randn(1, 4, 32, 32, dtype=pipeline.vae.dtype)
    decoding = peak_of(lambda: pipeline.vae.decode(latents), besides=pipeline.vae)
    assert counted.working["vae"] == pytest.approx(decoding, rel=0.1)


def _real(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _real(inner) for name, inner in value.items()}
    return torch.zeros(value.shape, dtype=value.dtype)


def test_what_is_let_go_is_not_counted_twice() -> None:
    def chain() -> None:
        x = torch.zeros(1000)
        for _ in range(10):
            x = x + 1

    assert peak_of(chain, besides=torch.nn.Identity()) == 8000


@pytest.mark.slow
def test_sdxls_own_sizes_are_known_before_it_is_here(
    monkeypatch: pytest.MonkeyPatch, smallest_int8_layer: int
) -> None:
    """fp16 with its own VAE was counted at 10.3 GB with a pretended CUDA device, 8.5 with the one that bears fp16."""
    monkeypatch.setattr(int8, "SMALLEST", smallest_int8_layer)
    info = registry.describe("sdxl")
    assert info.folder is None
    half, small = footprint.of(info, "fp16", "cuda"), footprint.of(info, "int8", "cuda")
    assert half.weights["unet"] == 2 * 2_567_463_684
    assert half.peak() == pytest.approx(8.55e9, rel=0.01)
    assert half.peak() > half.peak("model") > half.peak("sequential")
    assert small.peak() < 4.2e9
    assert sum(small.weights.values()) < 0.54 * sum(half.weights.values())


def test_sizes_of_a_model_that_is_not_here_are_not_made_up() -> None:
    info = registry.ModelInfo(
        name="someone/model", source="x", architecture=None, defaults=registry.ModelDefaults(), present=False
    )
    with pytest.raises(InputError, match="sizes of someone/model are not known before it is here"):
        footprint.of(info, "fp16", "cuda")


def test_too_little_memory_is_said_before_anything_is_loaded_with_the_setting_that_fits(
    tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("weights were loaded")

    unload()
    monkeypatch.setattr("sdxl_lora.models.loading.build", never)
    info = registry.describe(str(tiny_sdxl))
    least = room.needed_bytes(info, "int8", "cpu", "none", (64, 64))
    config = ModelConfig(model=str(tiny_sdxl), precision="fp32", device="cpu")
    monkeypatch.setattr(room, "free_bytes", lambda device: least)
    with pytest.raises(
        MemoryLimitError, match=r"in fp32 at 64x64 px needs .* MB on cpu, where .*--precision int8"
    ) as e:
        load(config)
    assert "\n" not in str(e.value)
    monkeypatch.setattr(room, "free_bytes", lambda device: least // 2)
    with pytest.raises(
        MemoryLimitError, match="no setting fits: close other programs, choose a smaller size"
    ):
        load(config)


def test_a_small_card_is_told_to_offload(tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = registry.describe(str(tiny_sdxl))
    free = room.needed_bytes(info, "fp16", "cuda", "sequential", (64, 64))
    monkeypatch.setattr(room, "free_bytes", lambda device: free)
    with pytest.raises(MemoryLimitError, match=r"it fits with --precision \w+ --offload (model|sequential)"):
        room.check(info, "fp16", "cuda", "none", None)
    room.check(info, "fp16", "cuda", "sequential", None)


def test_where_there_is_plenty_nothing_is_counted(tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "of", None)
    room.check(registry.describe(str(tiny_sdxl)), "fp32", "cpu", "none", None)
    assert (room.free_bytes("cpu") or 0) > 100 * MB
    assert room.free_bytes("mps") is None


def test_int8_on_a_gpu_decodes_in_small_tiles() -> None:
    from sdxl_lora.models import decoding
    from tests import tiny

    vae = tiny.vae()
    decoding.set_tiles(vae, 1024 * 1024, on_gpu=True)
    assert not vae.use_tiling
    int8.quantise_layers(vae)
    decoding.set_tiles(vae, 1024 * 1024, on_gpu=False)
    assert not vae.use_tiling
    decoding.set_tiles(vae, 1024 * 1024, on_gpu=True)
    assert (vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size) == (True, 512, 128)
    decoding.set_tiles(vae, 2048 * 2048, on_gpu=False)
    assert (vae.use_tiling, vae.tile_sample_min_size) == (True, tiny.SIDE)


def test_offloading_is_nothing_for_a_processor() -> None:
    with pytest.raises(
        InputError, match="offload model saves memory of a GPU, and this machine draws on its processor"
    ):
        offloading.check("model", "cpu")
    offloading.check("none", "cpu")
    offloading.check("sequential", "cuda")
