"""The device is decided once, without torch where there can only be a processor; impossible wishes are refused."""

import sys

import pytest
import torch

from sdxl_lora.errors import RequestError
from sdxl_lora.models import device


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match="no device 'cuda'"):
        device.choose_device("cuda")


def test_an_unknown_device_is_refused_with_the_usable_ones() -> None:
    with pytest.raises(RequestError, match=r"no device 'tpu'.*usable: .*cpu"):
        device.choose_device("tpu")


def test_the_processor_is_always_usable() -> None:
    assert device.choose_device("cpu") == "cpu"


def test_without_a_driver_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "may_have_gpu", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    assert (device.choose_device(), device.gpu_memory()) == ("cpu", 0)


def test_with_a_driver_torch_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose_device() == "cuda"
