"""Every random draw of a training run is a function of (seed, purpose, step, ...): no stream has to be
restored.

That makes resuming exact by construction, and keeps validation, logging and caching from moving the
training. Draws are made on the CPU, so they are equal on every device.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *path: int | str) -> int:
    """A 63-bit seed from `seed` and what it is for, by SHA-256: near inputs give unrelated streams."""
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A fresh CPU generator for one purpose, for example `generator(seed, "step", 12, rank)`."""
    return torch.Generator().manual_seed(derive(seed, *path))


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Inside, torch's own generators start at `seed`; afterwards they go on as if nothing had been drawn.

    For layers that cannot be given a generator. On a GPU, dropout draws there, and differs from a CPU's.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
