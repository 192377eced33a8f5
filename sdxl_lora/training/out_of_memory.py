"""A device that ran out of memory, as one line that names the settings which need less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sdxl_lora.errors import TrainingError
from sdxl_lora.training.setup import Setup

_CPU_ALLOCATOR = "DefaultCPUAllocator"  # how PyTorch's RuntimeError of a full CPU begins


@contextmanager
def explained(setup: Setup) -> Iterator[None]:
    """Raises `TrainingError` for whatever PyTorch or Python raise when there is no memory left."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise TrainingError(advice(setup)) from None
    except RuntimeError as error:
        if _CPU_ALLOCATOR not in str(error):
            raise
        raise TrainingError(advice(setup)) from None


def advice(setup: Setup) -> str:
    """What is not set yet and would need less memory."""
    config, options = setup.config, []
    if config.train_batch_size > 1:
        options.append(
            f"--train_batch_size {max(1, config.train_batch_size // 2)} with "
            f"--gradient_accumulation_steps {config.gradient_accumulation_steps * 2}"
        )
    if not config.gradient_checkpointing:
        options.append("--gradient_checkpointing")
    if setup.dtype == torch.float32:
        options.append("--mixed_precision bf16")
    if config.base_precision != "int8" and not config.use_dora:
        options.append("--base_precision int8")
    if setup.resolution > setup.base.side // 2:
        options.append(f"--resolution {setup.base.side // 2}")
    wanted = f"less is needed with {', '.join(options)}" if options else "choose a smaller model"
    return f"{setup.accelerator.device} is out of memory; {wanted}; what was saved before is good"
