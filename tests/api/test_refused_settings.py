"""Settings and files that cannot be drawn with are one line for programs, too, and the server goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
from safetensors.torch import save_file

Http = Callable[..., requests.Response]


@pytest.fixture
def loras(api_home: Path) -> Iterator[None]:
    """LoRAs of the server that no model here can draw with."""
    folder = api_home / "loras"
    folder.mkdir(exist_ok=True)
    files = [folder / f"{name}.safetensors" for name in ("pickled", "truncated", "other")]
    save_file({"lora_unet_x_attn2_to_k.lora_down.weight": torch.zeros(4, 2048)}, files[2])
    files[0].write_bytes(b"\x80\x02}q\x00.")
    files[1].write_bytes(files[2].read_bytes()[:-100])
    yield
    for file in files:
        file.unlink()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"precision": "int8", "engine": "openvino"}, "engine openvino draws in bf16, not in int8"),
        ({"engine": "compiled", "cache_interval": 2}, "engine compiled computes every step whole"),
        ({"precision": "fp16"}, "precision fp16 needs a GPU; use auto, bf16, fp32 or int8"),
        ({"offload": "model"}, "offload model"),
        ({"lora": "pickled"}, "pickled.safetensors"),
        ({"lora": "truncated"}, "truncated.safetensors"),
        ({"lora": "other"}, "other.safetensors is for SDXL (text width 2048)"),
    ],
    ids=str,
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
@pytest.mark.usefixtures("loras")
def test_what_cannot_be_drawn_with_is_one_line(http: Http, settings: dict[str, Any], said: str) -> None:
    answer = http("POST", "/v1/images/generations", json={"prompt": "a cap", "steps": 1, **settings})
    message = answer.json()["error"]["message"]
    assert answer.status_code in (400, 422), message
    assert said in message
    assert "\n" not in message
    assert http("POST", "/v1/images/generations", json={"prompt": "a cap", "steps": 1}).status_code == 200
