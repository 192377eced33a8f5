"""Finishing is tested on a tiny real model's judge."""

from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]
