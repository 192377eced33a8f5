"""An evaluation is started from the page, from folders or uploads, and its result opens."""

import io
import json
import shlex
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora import cli
from sdxl_lora.records.evaluations import EvaluationStore
from tests.evaluation.drawing import noisy_folders
from tests.pages.conftest import plain

Open = Callable[..., AppTest]


@pytest.fixture
def open_page(open_alone: Callable[[str], AppTest], bundled: Path) -> Open:
    return partial(open_alone, "metrics")


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"pictures/{path.name}")
    return buffer.getvalue()


def test_two_folders_become_a_result_that_is_shown_and_a_command_that_makes_it_again(
    open_page: Open, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated, reference = noisy_folders(tmp_path, 3)
    at = open_page()
    at.text_input(key="metrics.new.generated").set_value(str(generated))
    at.text_input(key="metrics.new.reference").set_value(str(reference)).run()
    command = shlex.split(at.code[0].value)
    assert command[:4] == ["python", "-m", "sdxl_lora", "evaluate"]
    at.button(key="metrics.new.start").click().run()
    assert not at.exception
    [record] = EvaluationStore(home).all()
    assert at.multiselect(key="metrics.runs").value == [f"generated · {record.id[:6]}"]
    assert cli.main([*command[3:], "--json"]) == 0
    capsys.readouterr()
    assert [again.id for again in EvaluationStore(home).all()] == [record.id]


def test_uploads_are_evaluated_with_their_captions(open_page: Open, tmp_path: Path, home: Path) -> None:
    generated, _ = noisy_folders(tmp_path, 2)
    captions = json.dumps({"img_00.png": "a red cap", "img_01.png": "a navy cap"}).encode()
    at = open_page()
    at.button_group(key="metrics.new.kind").set_value("Files to upload").run()
    at.file_uploader(key="metrics.new.generated_zip").set_value(
        [("mine.zip", zipped(generated), "application/zip")]
    )
    at.file_uploader(key="metrics.new.captions_file").set_value(
        [("c.json", captions, "application/json")]
    ).run()
    at.button(key="metrics.new.start").click().run()
    assert not at.exception
    [record] = EvaluationStore(home).all()
    assert record.label == "mine"
    assert "clip_mini" in record.summary


def test_what_cannot_be_evaluated_is_one_line_and_the_form_stays(open_page: Open, tmp_path: Path) -> None:
    at = open_page()
    at.text_input(key="metrics.new.generated").set_value(str(tmp_path / "nowhere")).run()
    at.button(key="metrics.new.start").click().run()
    assert "is not a folder; give a folder of pictures" in plain(at.error[0].value)
    assert at.text_input(key="metrics.new.generated").value == str(tmp_path / "nowhere")
