"""SDXL LoRA studio: branded clothing pictures for online shops.

Data flows one way through the rooms of this package; `docs/architecture.md` draws the house.
"""

from sdxl_lora import _torchvision

__version__ = "0.1.0"

_torchvision.install()
