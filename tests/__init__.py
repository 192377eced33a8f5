"""Tests mirror the rooms of the package; importing it first makes torchvision usable beside a CPU build of torch."""

import sdxl_lora  # noqa: F401
