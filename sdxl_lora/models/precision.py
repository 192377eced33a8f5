"""In which number format a model runs.

Measured figures behind the choices are in `benchmarks/generation.py` and docs.
"""

import torch

from sdxl_lora.config import Precision
from sdxl_lora.errors import RequestError
from sdxl_lora.models.device import Device

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_precision(wanted: Precision, device: Device, *, quantised: bool = False) -> Precision:
    """The precision asked for; for "auto" the fastest that keeps quality. Raises `RequestError`.

    `quantised`: the model's files hold int8 weights, which no other precision would make better.
    """
    if quantised and wanted not in ("auto", "int8"):
        raise RequestError(
            f"this model's weights are int8, precision {wanted} cannot bring back what they were;"
            " use auto or int8, or the model it was made from"
        )
    if quantised:
        return "int8"
    if wanted == "fp16" and device == "cpu":
        raise RequestError("precision fp16 needs a GPU; use auto, bf16, fp32 or int8 on this processor")
    if wanted != "auto":
        return wanted
    if device == "cpu":
        return "bf16" if has_fast_bf16() else "fp32"
    return "fp16"


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def compute_dtype(precision: Precision, device: Device) -> torch.dtype:
    """The torch type that the layers of the denoising network multiply in; `precision` is decided."""
    if precision == "int8":
        precision = choose_precision("auto", device)
    return _DTYPES[precision]
