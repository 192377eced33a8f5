"""Mirrors the rooms. Importing the package first makes torchvision usable beside a CPU torch."""

import sdxl_lora  # noqa: F401
