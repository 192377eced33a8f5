"""One shared model per process, loaded as its files say, used by one at a time."""

import re
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from sdxl_lora.errors import Cancelled, MemoryLimitError, ModelUnavailableError, UnknownNameError
from sdxl_lora.models import loading, registry
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, LoraSpec
from tests import tiny


def test_the_pipeline_class_follows_from_the_files(tiny_sdxl: Path, tiny_sd: Path) -> None:
    assert isinstance(load(ModelConfig(model=str(tiny_sdxl))).engine.pipeline, StableDiffusionXLPipeline)
    assert isinstance(load(ModelConfig(model=str(tiny_sd))).engine.pipeline, StableDiffusionPipeline)


def test_the_same_model_is_loaded_once(tiny_sdxl: Path) -> None:
    first = load(ModelConfig(model=str(tiny_sdxl), precision="fp32"))
    again = load(ModelConfig(model=str(tiny_sdxl), precision="fp32", scheduler="ddim"))
    assert again.base is first.base


def test_another_model_or_precision_takes_its_place(tiny_sdxl: Path, tiny_sd: Path) -> None:
    first = load(ModelConfig(model=str(tiny_sdxl), precision="fp32"))
    load(ModelConfig(model=str(tiny_sd), precision="fp32"))
    again = load(ModelConfig(model=str(tiny_sdxl), precision="fp32"))
    assert again.base is not first.base
    assert load(ModelConfig(model=str(tiny_sdxl), precision="bf16")).base is not again.base


def test_text_encoders_are_not_reduced_on_a_processor(tiny_sdxl: Path) -> None:
    pipeline = load(ModelConfig(model=str(tiny_sdxl), precision="bf16", device="cpu")).engine.pipeline
    assert pipeline.unet.dtype == pipeline.vae.dtype == torch.bfloat16
    assert pipeline.text_encoder.dtype == pipeline.text_encoder_2.dtype == torch.float32


def test_a_reduced_unet_takes_and_gives_single_precision(tiny_sdxl: Path) -> None:
    unet = load(ModelConfig(model=str(tiny_sdxl), precision="bf16", device="cpu")).engine.pipeline.unet
    condition = {"text_embeds": torch.zeros(1, 32), "time_ids": torch.full((1, 6), 1001.0)}
    inputs = (torch.randn(1, 4, 16, 16), torch.tensor(999), torch.randn(1, 77, 64))
    with torch.no_grad():
        plain = unet(*inputs, added_cond_kwargs=condition, return_dict=False)[0]
        named = unet(*inputs, added_cond_kwargs=condition).sample
    assert plain.dtype == named.dtype == torch.float32
    assert torch.equal(plain, named)
    assert condition["time_ids"].dtype == torch.float32


def test_weights_that_are_not_safetensors_are_never_opened(tiny_sdxl: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_sdxl, tmp_path / "old"))
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    with pytest.raises(ModelUnavailableError, match="lacks safetensors weights"):
        load(ModelConfig(model=str(folder)))


@pytest.mark.parametrize("kind", ["truncated", "empty", "pickled"])
def test_damaged_weights_are_named_in_one_line(kind: str, tiny_sdxl: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_sdxl, tmp_path / "damaged"))
    weights = next((folder / "unet").glob("*.safetensors"))
    if kind == "pickled":
        torch.save({"conv_in.weight": torch.zeros(3)}, weights)
    else:
        weights.write_bytes(weights.read_bytes()[: 1000 if kind == "truncated" else 0])
    said = f"{weights.relative_to(folder)} is damaged or incomplete; fetch or convert it again"
    with pytest.raises(ModelUnavailableError, match=re.escape(said)) as error:
        load(ModelConfig(model=str(folder)))
    assert "\n" not in str(error.value)


def test_memory_that_is_gone_while_loading_is_one_line(
    tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    loading.unload()
    monkeypatch.setattr(loading, "build", full)
    with pytest.raises(MemoryLimitError, match="does not fit into the memory of cpu; close other programs"):
        loading.load(loading.ModelConfig(model=str(tiny_sdxl)))


def test_an_unknown_scheduler_is_told_before_anything_is_loaded() -> None:
    with pytest.raises(UnknownNameError, match="scheduler"):
        load(ModelConfig(model="/no/such/model", scheduler="oiler"))


def test_the_configuration_of_a_request_is_what_the_request_says() -> None:
    lora = LoraSpec(path="a.safetensors", weight=0.5)
    request = GenerationRequest(prompt="x", model="sdxl", loras=(lora,), precision="fp32", scheduler="ddim")
    assert ModelConfig.of(request) == ModelConfig(
        model="sdxl", loras=(lora,), precision="fp32", scheduler="ddim"
    )


def test_one_worker_at_a_time_uses_the_model(tiny_sdxl: Path) -> None:
    model = load(ModelConfig(model=str(tiny_sdxl)))
    inside: list[str] = []

    def work(name: str) -> None:
        with model.use():
            inside.append(f"{name} in")
            time.sleep(0.02)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(enter[0] == leave[0] for enter, leave in zip(inside[::2], inside[1::2], strict=True))


def test_waiting_for_the_model_can_be_cancelled(tiny_sdxl: Path) -> None:
    model = load(ModelConfig(model=str(tiny_sdxl)))
    with model.use(), pytest.raises(Cancelled), model.use(stopped=lambda: True):
        pass


def test_a_pipeline_in_training_can_be_wrapped(tiny_sdxl: Path) -> None:
    pipeline = tiny.sdxl_pipeline()
    model = loading.wrap(pipeline, registry.describe(str(tiny_sdxl)))
    with model.use() as used:
        assert used.pipeline is pipeline
    assert model.dtype == torch.float32
