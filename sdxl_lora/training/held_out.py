"""The validation loss: how well the model predicts the noise in pictures that it is not trained on.

Pictures, crops, captions, noise and timesteps are the same every time, so that two numbers of a run differ by its
weights alone, and rising ones mean that the pictures are being learned by heart. Noise is a function of the picture's
contents.
Nothing is weighted: neither by the signal-to-noise ratio nor by masks.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from sdxl_lora.training.components import Components
from sdxl_lora.training.loss import denoising_loss
from sdxl_lora.training.randomness import generator
from sdxl_lora.training.setup import Setup

TIMESTEPS = 4  # of every picture, in the middle of equal parts of the schedule
_SEED = 0  # the run's own would make runs of other seeds less comparable


@torch.no_grad()
def loss(setup: Setup, parts: Components) -> float:
    """Mean squared error over held-out pictures and timesteps. All processes call it together and share the work."""
    accelerator = setup.accelerator
    steps = int(parts.scheduler.config.num_train_timesteps)
    found = torch.zeros(2, device=accelerator.device)  # sum of losses, how many
    with parts.adapter.evaluating(), setup.autocast():
        for rows in _batches(setup):
            batch = parts.builder.undrawn(rows).map(lambda tensor: tensor.to(accelerator.device))
            for number in range(TIMESTEPS):
                timestep = steps * (2 * number + 1) // (2 * TIMESTEPS)
                losses = denoising_loss(
                    parts.unet,
                    parts.scheduler,
                    batch,
                    _noise(setup, rows, number, batch.latents),
                    torch.full((len(rows),), timestep, device=accelerator.device),
                    dtype=setup.dtype,
                )
                found += torch.stack([losses.sum(), torch.full_like(losses, 1).sum()])
    total, count = accelerator.reduce(found, "sum").tolist()
    return float(total / count)


def _batches(setup: Setup) -> Iterator[list[int]]:
    """This process's share of the held-out rows, pictures of one size together."""
    data_index, size = setup.data_index, setup.config.train_batch_size
    by_group: dict[int, list[int]] = {}
    for row in range(data_index.trained, len(data_index)):
        by_group.setdefault(data_index.groups[row], []).append(row)
    batches = [
        rows[at : at + size] for _, rows in sorted(by_group.items()) for at in range(0, len(rows), size)
    ]
    yield from batches[setup.accelerator.process_index :: setup.accelerator.num_processes]


def _noise(setup: Setup, rows: list[int], number: int, latents: Tensor) -> Tensor:
    drawn = [
        torch.randn(
            latents.shape[1:],
            generator=generator(_SEED, "validation noise", setup.data_index.hashes[row], number),
        )
        for row in rows
    ]
    return torch.stack(drawn).to(latents.device)
