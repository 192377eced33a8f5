"""Every picture made, its request and its scores: a database and the files it describes."""

from sdxl_lora.records.database import Database
from sdxl_lora.records.store import Record, Store

__all__ = ["Database", "Record", "Store"]
