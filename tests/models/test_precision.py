"""Device and number format are decided once, and impossible wishes are refused."""

import pytest
import torch

from sdxl_lora.config import Precision
from sdxl_lora.errors import RequestError
from sdxl_lora.models import precision


def test_auto_takes_what_the_processor_is_fast_in() -> None:
    expected = "bf16" if precision.has_fast_bf16() else "fp32"
    assert precision.choose_precision("auto", "cpu") == expected


def test_auto_takes_half_precision_on_a_gpu() -> None:
    assert precision.choose_precision("auto", "cuda") == "fp16"


@pytest.mark.parametrize(("wanted", "reason"), [("fp16", "needs a GPU"), ("int8", "is not available")])
def test_what_a_processor_cannot_do_well_is_refused(wanted: Precision, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        precision.choose_precision(wanted, "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match="no device 'cuda'"):
        precision.choose_device("cuda")


def test_an_unknown_device_is_refused_with_the_usable_ones() -> None:
    with pytest.raises(RequestError, match=r"no device 'tpu'.*usable: .*cpu"):
        precision.choose_device("tpu")


def test_the_processor_is_always_usable() -> None:
    assert precision.choose_device("cpu") == "cpu"
