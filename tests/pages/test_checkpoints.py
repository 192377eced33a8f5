"""Which checkpoint is best, on the page: all draw, the judge is named, and so is how sure it is."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.comparing.checkpoints import LORA_NAME, SEEDS
from sdxl_lora.ui import shared
from tests import tiny
from tests.pages.conftest import TIMEOUT

PROMPT = "a navy cap"


@pytest.fixture
def run_folder(home: Path) -> Path:
    """A run that was started from the page and is over, with two checkpoints and a finished LoRA."""
    folder = home / "training" / "runs" / "caps"
    for number, name in enumerate(("checkpoint-1", "checkpoint-2", ".")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        tiny.save_lora(folder / name / LORA_NAME, scale=1.0 + 4 * number)
        (folder / name / "manifest.json").write_text("{}")
        (folder / name / "config.json").write_text('{"pretrained_model_name_or_path": "mini"}')
    lines: list[dict[str, Any]] = [{"step": step, "loss": 1.0 / step} for step in (1, 2, 3)]
    lines.append({"step": 3, "pictures": [], "prompts": [PROMPT]})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_every_checkpoint_draws_the_same_and_the_best_goes_into_the_studio(
    open_app: Callable[..., AppTest], run_folder: Path
) -> None:
    at = open_app().switch_page("pages/training.py").run(timeout=TIMEOUT)
    at = at.button(key="training.grid.start").click().run(timeout=TIMEOUT)
    jobs = shared.queue().jobs("checkpoints")
    assert [len(job.pictures) for job in jobs] == [SEEDS] * 3
    deadline = time.monotonic() + TIMEOUT
    while any(job.active for job in shared.queue().jobs("checkpoints")) and time.monotonic() < deadline:
        time.sleep(0.1)
    at = at.run(timeout=TIMEOUT)
    assert not at.exception
    said = " ".join(element.value for element in (*at.success, *at.info)).replace("\\", "")
    assert "is best: " in said
    assert "mini-CLIP cosine" in said
    assert f"{SEEDS} pictures each, too few for an interval" in said
    at = at.button(key="training.grid.use").click().run(timeout=TIMEOUT)
    assert not at.exception
    rows = [str(field.value) for field in at.text_input if field.key and field.key.startswith("create.lora.")]
    assert rows[0].startswith(str(run_folder))
    assert rows[0].endswith(LORA_NAME)
