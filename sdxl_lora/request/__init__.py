"""The request: what is wished for, and everything that is known of its fields. Knows nothing of models.

GenerationRequest(prompt=..., ...)   None = "decide"; to_dict / from_dict are JSON; the table of fields (`wish`)
ResolvedRequest                      the same, with nothing left open: what a picture is made from
LoraSpec(path=..., weight=1.0)       one LoRA to load onto the model
LogoSpec(hash=..., at="chest")       one logo to put onto the picture
FIELDS                               a `Field` for every field: kind, label, help, flag, A1111 key, what it changes
flags, schema, expansion             made from the table: command line, JSON schema; `{a|b}` to one request each
"""

from sdxl_lora.request.field import Field
from sdxl_lora.request.logo_spec import LogoSpec
from sdxl_lora.request.lora_spec import LoraSpec
from sdxl_lora.request.resolved import ResolvedRequest
from sdxl_lora.request.wish import (
    FIELDS,
    MAX_COUNT,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MAX_TIMESTEP,
    OWN_SCHEDULER,
    GenerationRequest,
)

__all__ = [
    "FIELDS",
    "MAX_COUNT",
    "MAX_SEED",
    "MAX_SIDE",
    "MAX_STEPS",
    "MAX_TIMESTEP",
    "OWN_SCHEDULER",
    "Field",
    "GenerationRequest",
    "LogoSpec",
    "LoraSpec",
    "ResolvedRequest",
]
