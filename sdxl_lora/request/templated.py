"""A template, what its slots are filled with, and words to add -> the fields of a request.

The command line, the HTTP API and catalogues fill templates alike through this.
"""

from collections.abc import Mapping
from typing import Any

from sdxl_lora import prompts
from sdxl_lora.errors import PromptError


def fields(name: str, slots: Mapping[str, str], words: str, negative: str | None) -> dict[str, Any]:
    """Prompt, negative prompt, template and slots of a request. Raises `PromptError`, `UnknownNameError`.

    Args:
        name: of the template; "" = none, and `words` are the whole prompt.
        words: what follows the template's own.
        negative: None = the template's.
    """
    if not name:
        if slots:
            raise PromptError("slots are filled in a template; name the template, too")
        return {"prompt": words, "negative_prompt": negative or ""}
    template = prompts.get(name)
    filled = template.complete(dict(slots))
    prompt = prompts.fill(template, filled)
    return {
        "prompt": f"{prompt}, {words}" if words.strip() else prompt,
        "negative_prompt": template.negative if negative is None else negative,
        "template": name,
        "slots": tuple(filled.items()),
    }
