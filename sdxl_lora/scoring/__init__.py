"""Picture and text to numbers: how well a picture shows what was asked for."""

from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.spec import spec_text

__all__ = ["Scorer", "spec_text"]
