"""A tiny model with its CLIP stands in for the bundled one."""

from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]
