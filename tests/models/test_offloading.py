"""Parts and layers that wait elsewhere draw the same picture, with LoRAs put on and taken off.

The hooks are diffusers' and accelerate's own; here they move weights from the processor to itself.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import offloading
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, LoraSpec
from tests import tiny


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offloading, "check", lambda wanted, device: None)


def _draw(folder: Path, **fields: Any) -> bytes:
    wish: dict[str, Any] = {"prompt": "a navy jacket", "model": str(folder), "steps": 2, "seed": 5, **fields}
    request = resolve(GenerationRequest(**wish))
    model = load(ModelConfig.of(request, device="cpu"))
    events = list(generate(model, request))
    return next(event.image.tobytes() for event in events if isinstance(event, PictureDone))


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_picture_is_the_same_also_with_a_lora(precision: str, tiny_sdxl: Path, tmp_path: Path) -> None:
    loras = (LoraSpec(path=str(tiny.save_lora(tmp_path / "lora.safetensors", "sdxl", "peft"))),)
    wanted = [_draw(tiny_sdxl, precision=precision, loras=loras), _draw(tiny_sdxl, precision=precision)]
    assert wanted[0] != wanted[1]
    found = [
        _draw(tiny_sdxl, precision=precision, offload="model", loras=on) for on in ((), loras, (), loras)
    ]
    assert found == [wanted[1], wanted[0]] * 2


@pytest.mark.usefixtures("allowed")
def test_between_layers_the_weights_are_elsewhere_and_come_back_to_the_bit(tiny_sdxl: Path) -> None:
    """accelerate cannot run this from the processor to itself; on a GPU `pytest -m gpu` does."""
    request = resolve(
        GenerationRequest(prompt="a", model=str(tiny_sdxl), offload="sequential", precision="int8")
    )
    pipeline = load(ModelConfig.of(request, device="cpu")).engine.pipeline
    assert {parameter.device.type for parameter in pipeline.unet.parameters()} == {"meta"}
    offloading.switch_off(pipeline, "sequential")
    plain = load(ModelConfig(model=str(tiny_sdxl), precision="int8", device="cpu")).engine.pipeline
    state, other = pipeline.unet.state_dict(), plain.unet.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in other)


def test_a_processor_is_refused_in_one_line(tiny_sdxl: Path) -> None:
    with pytest.raises(RequestError, match="offload sequential saves memory of a GPU"):
        resolve(GenerationRequest(prompt="a", model=str(tiny_sdxl), offload="sequential"))
