"""What would go wrong in training a model with a data set: its own sizes and tokenizers, none of its weights."""

from collections.abc import Callable
from functools import partial

from sdxl_lora.data import checks
from sdxl_lora.data.sources import Source
from sdxl_lora.models import registry
from sdxl_lora.training import base_model
from sdxl_lora.training.text import token_count

_RESOLUTION = 1024  # px, SDXL's, where no model's files are here to say


def check_for(
    source: Source,
    model: str,
    *,
    resolution: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    note: Callable[[str], None] = lambda text: None,
) -> checks.Report:
    """Looks at every picture and caption of `source` as training `model` would.

    Args:
        resolution: side of the training pictures, px; None = the model's own.
        progress: (done, total), after each picture.
        note: told where the model is not on this machine.

    Raises `InputError`.
    """
    info = registry.describe(model)
    if info.folder is None:
        note(f"the model {model} is not on this machine: tokens are not counted, sizes are SDXL's")
        return checks.check(source, resolution=resolution or _RESOLUTION, multiple=64, progress=progress)
    base = base_model.describe(model, info.folder)
    tokenizers = dict(zip(("tokenizer", "tokenizer_2"), base.tokenizers(), strict=False))
    return checks.check(
        source,
        resolution=resolution or base.side,
        multiple=base.multiple,
        counters={part: partial(token_count, tokenizer) for part, tokenizer in tokenizers.items()},
        token_limit=min(int(tokenizer.model_max_length) for tokenizer in tokenizers.values()),
        progress=progress,
    )
