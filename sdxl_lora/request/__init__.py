"""The request: what is wished for, and everything that is known of its fields. Knows nothing of models.

GenerationRequest(prompt=..., ...)   None = "decide"; to_dict / from_dict are JSON
ResolvedRequest                      the same, with nothing left open: what a picture is made from
LoraSpec(path=..., weight=1.0)       one LoRA to load onto the model
"""

from sdxl_lora.request.resolved import ResolvedRequest
from sdxl_lora.request.wish import (
    MAX_COUNT,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    OWN_SCHEDULER,
    GenerationRequest,
    LoraSpec,
)

__all__ = [
    "MAX_COUNT",
    "MAX_SEED",
    "MAX_SIDE",
    "MAX_STEPS",
    "OWN_SCHEDULER",
    "GenerationRequest",
    "LoraSpec",
    "ResolvedRequest",
]
