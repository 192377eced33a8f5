"""The request: what is wished for, and everything that is known of its fields. Knows nothing of models.

GenerationRequest(prompt=..., ...)   None = "decide"; to_dict / from_dict are JSON
LoraSpec(path=..., weight=1.0)       one LoRA to load onto the model
"""

from sdxl_lora.request.wish import MAX_COUNT, MAX_SEED, MAX_SIDE, MAX_STEPS, GenerationRequest, LoraSpec

__all__ = ["MAX_COUNT", "MAX_SEED", "MAX_SIDE", "MAX_STEPS", "GenerationRequest", "LoraSpec"]
