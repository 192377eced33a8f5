"""Every picture made, its request and its scores: a database and the files it describes."""

from sdxl_lora.records.store import Record, Store

__all__ = ["Record", "Store"]
