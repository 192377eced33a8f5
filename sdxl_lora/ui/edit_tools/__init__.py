"""The tools of the Edit page, in the order they are offered: each is a file of its own with a `TOOL`."""

from sdxl_lora.ui.edit_tools import background, logo, part, vary, widen
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted

TOOLS: tuple[Tool, ...] = (vary.TOOL, part.TOOL, widen.TOOL, background.TOOL, logo.TOOL)

__all__ = ["TOOLS", "Tool", "Wanted"]
