"""Words that become prompts: templates with slots, choices, emphasis, and what a sentence claims.

Knows no models.
"""

from sdxl_lora.prompts.attributes import Attribute
from sdxl_lora.prompts.expansion import Expansion, escape, expand, wildcards
from sdxl_lora.prompts.library import get, problems, templates
from sdxl_lora.prompts.template import Slot, Template, fill

__all__ = [
    "Attribute",
    "Expansion",
    "Slot",
    "Template",
    "escape",
    "expand",
    "fill",
    "get",
    "problems",
    "templates",
    "wildcards",
]
