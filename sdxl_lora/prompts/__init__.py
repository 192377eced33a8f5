"""Words that become prompts: templates with slots, and the vocabulary they suggest. Knows no models."""

from sdxl_lora.prompts.library import get, problems, templates
from sdxl_lora.prompts.template import Slot, Template, fill

__all__ = ["Slot", "Template", "fill", "get", "problems", "templates"]
