"""Serving is tested on tiny real models."""

from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]
