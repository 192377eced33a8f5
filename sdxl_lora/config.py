"""What every room shares: where things live, how many cores there are.

Knows nothing of models, files' contents or pages. Settings come from the caller, then environment variables
prefixed `SDXL_LORA_`, then defaults.
"""

import os
from pathlib import Path
from typing import Literal

Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]
EngineName = Literal["auto", "torch", "compiled", "openvino"]
Offload = Literal["none", "model", "sequential"]
Architecture = Literal["sd", "sdxl"]

MAX_PROMPT_CHARACTERS = 4_000


def home() -> Path:
    """The one directory this project writes to: `SDXL_LORA_HOME`, default `~/.sdxl_lora`."""
    return Path(os.environ.get("SDXL_LORA_HOME") or Path.home() / ".sdxl_lora")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def database_url() -> str:
    """Address of a PostgreSQL server that keeps the records, `DATABASE_URL`; "" = SQLite in the data folder."""
    return os.environ.get("DATABASE_URL", "").strip()
