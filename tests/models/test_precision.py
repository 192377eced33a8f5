"""The number format is decided once, and impossible wishes are refused."""

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


def test_what_a_processor_cannot_do_well_is_refused() -> None:
    with pytest.raises(RequestError, match="fp16 needs a GPU; use auto, bf16, fp32 or int8"):
        precision.choose_precision("fp16", "cpu")


def test_int8_computes_in_what_the_device_is_fast_in() -> None:
    assert precision.choose_precision("int8", "cpu") == "int8"
    assert precision.compute_dtype("int8", "cuda") == torch.float16
    assert precision.compute_dtype("int8", "cpu") == precision.compute_dtype(
        precision.choose_precision("auto", "cpu"), "cpu"
    )


@pytest.mark.parametrize("wanted", ["fp32", "fp16", "bf16"])
def test_int8_weights_are_only_drawn_with_as_they_are(wanted: Precision) -> None:
    assert precision.choose_precision("auto", "cuda", quantised=True) == "int8"
    with pytest.raises(RequestError, match=f"precision {wanted} cannot bring back what they were"):
        precision.choose_precision(wanted, "cuda", quantised=True)
