"""The training page in the app: a finished LoRA goes into the studio's form with one click."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import ROOT, TIMEOUT

Open = Callable[..., AppTest]
PROMPT = "top, Halden Crest Tee Teal"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run, as far as the page looks at it."""
    folder = tmp_path / "crest"
    folder.mkdir()
    lines: list[dict[str, Any]] = [{"step": n, "loss": 1.0 / n} for n in (1, 2)]
    lines += [{"step": n, "pictures": [], "prompts": [PROMPT], "scores": [0.2]} for n in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "pytorch_lora_weights.safetensors").write_bytes(b"")
    (folder / "config.json").write_text('{"pretrained_model_name_or_path": "mini"}')
    return folder


def take(at: AppTest, folder: Path) -> AppTest:
    """Opens the page on `folder`, presses its button; the studio is open afterwards."""
    at = at.switch_page("pages/training.py").run()
    at = at.text_input(key="training.folder").input(str(folder)).run()
    at = at.button(key="training.use").click().run()
    assert not at.exception
    return at


def loras(at: AppTest) -> list[str]:
    return [str(field.value) for field in at.text_input if field.key and field.key.startswith("create.lora.")]


def test_a_finished_lora_is_in_the_studio_with_one_click(open_app: Open, run_folder: Path) -> None:
    at = take(open_app(), run_folder)
    assert loras(at)[0] == str(run_folder / "pytorch_lora_weights.safetensors")
    assert at.selectbox(key="create.model").value == "mini"
    assert "LoRA of crest is on" in at.success[0].value


def test_what_was_written_stays_and_the_lora_comes_beside_others_once(
    open_app: Open, run_folder: Path
) -> None:
    at = open_app()
    at = at.text_area(key="create.prompt").set_value("my own words").run()
    at = at.text_input(key="create.lora.0.path").input("other.safetensors").run()
    at = take(take(at, run_folder), run_folder)
    assert at.text_area(key="create.prompt").value == "my own words"
    assert loras(at)[:3] == ["other.safetensors", str(run_folder / "pytorch_lora_weights.safetensors"), ""]


def test_a_studio_that_was_never_opened_starts_with_the_runs_own_sentence(
    home: Path, run_folder: Path
) -> None:
    fresh = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)  # opened on the training page
    at = take(fresh, run_folder)
    assert at.text_area(key="create.prompt").value == PROMPT
    assert loras(at)[0] == str(run_folder / "pytorch_lora_weights.safetensors")
