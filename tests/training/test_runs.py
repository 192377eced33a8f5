"""Runs are read back from their folders, and the page shows them."""

import json
from pathlib import Path

import pytest
from accelerate import Accelerator
from PIL import Image
from streamlit.testing.v1 import AppTest

from sdxl_lora.errors import StorageError
from sdxl_lora.training import runs
from sdxl_lora.training.events import StepRecord, Validated
from sdxl_lora.training.journal import Journal

PAGE = Path(__file__).parents[2] / "pages" / "training.py"


@pytest.fixture
def folder(tmp_path):
    """Two runs, one finished and one in the middle of writing a line."""
    done, going = tmp_path / "done", tmp_path / "going"
    for place in (done, going):
        (place / "validation").mkdir(parents=True)
        lines = [{"step": n, "loss": 1.0 / n} for n in (1, 2, 3)]
        lines.append({"step": 3, "pictures": ["000003-0.png"], "prompts": ["a top"], "scores": [0.25]})
        (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        Image.new("RGB", (8, 8)).save(place / "validation" / "000003-0.png")
    with (going / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    (done / "pytorch_lora_weights.safetensors").write_bytes(b"")
    (done / "config.json").write_text('{"rank": 4}')
    return tmp_path


def test_a_finished_run_is_read_whole(folder):
    run = runs.read_run(folder / "done")
    assert run.losses == ((1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3)))
    assert run.drawn[0].scores == (0.25,)
    assert run.drawn[0].pictures == (folder / "done" / "validation" / "000003-0.png",)
    assert run.settings == {"rank": 4}
    assert run.finished


def test_a_run_that_is_being_written_is_read_as_far_as_it_got(folder):
    run = runs.read_run(folder / "going")
    assert (run.step, run.finished, run.lora) == (3, False, None)


def test_the_running_mean_of_a_constant_is_that_constant(folder):
    run = runs.Run(
        folder=folder,
        losses=((1, 2.0), (2, 2.0)),
        drawn=(),
        prompt=None,
        settings={},
        lora=None,
        finished=False,
    )
    assert [mean for _, mean in run.smoothed()] == pytest.approx([2.0, 2.0])


def test_runs_are_found_in_a_folder_and_below_it(folder):
    assert {run.name for run in runs.list_runs(folder)} == {"done", "going"}
    assert [run.name for run in runs.list_runs(folder / "done")] == ["done"]


def test_the_page_shows_a_run(folder):
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    page.text_input(key="training.folder").input(str(folder / "done")).run()
    assert not page.exception
    assert "3 updates, finished" in " ".join(caption.value for caption in page.caption)
    assert str(folder / "done" / "pytorch_lora_weights.safetensors") in " ".join(
        code.value for code in page.code
    )


def test_the_page_without_runs_says_how_to_start_one(tmp_path):
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    page.text_input(key="training.folder").input(str(tmp_path)).run()
    assert not page.exception
    assert "train_sdxl_lora.sh" in " ".join(code.value for code in page.code)


def test_what_a_crash_made_unreadable_is_left_out_and_said(folder):
    done = folder / "done"
    journal = done / "metrics.jsonl"
    journal.write_text(journal.read_text() + '\0\0\0\n["no", "object"]\n{"step": 4, "loss": 0.25}\n')
    (done / "config.json").write_text("{half")
    (done / "validation" / "000003-0.png").unlink()
    run = runs.read_run(done)
    assert run.step == 4
    assert run.drawn == ()
    assert run.settings == {}
    assert "metrics.jsonl: 2" in run.problems[0]
    assert "any more: 1" in run.problems[1]
    assert "config.json" in run.problems[2]


def test_the_page_shows_the_rest_of_a_damaged_run(folder):
    (folder / "done" / "config.json").write_text("{half")
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    page.session_state["training.folder"] = str(folder / "done")
    page.run()
    assert not page.exception
    assert "config.json" in page.warning[0].value


def test_a_run_goes_on_after_a_crash_damaged_its_journal(folder):
    done = folder / "done"
    (done / "metrics.jsonl").write_bytes(b'{"step": 1, "loss": 1.0}\n\0\0\0\0\n{"step": 2, "loss": 0.5}\n')
    journal = Journal(done, 1, Accelerator(cpu=True))
    journal.step(
        StepRecord(step=2, epoch=0, loss=0.4, learning_rate=1.0, grad_norm=1.0, pictures=1, seconds=1.0)
    )
    journal.close()
    assert runs.read_run(done).losses == ((1, 1.0), (2, 0.4))


def test_a_full_disk_while_pictures_are_kept_is_one_line(folder):
    journal = Journal(folder / "done", 3, Accelerator(cpu=True))
    full = Image.new("RGB", (8, 8))
    full.save = lambda path: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    with pytest.raises(StorageError, match="the disk is full; checkpoints are intact"):
        journal.validated(Validated(step=4, prompts=("a top",), images=(full,), scores=()))
    journal.close()


def test_the_page_shows_the_validation_loss_and_where_it_was_lowest(folder):
    with (folder / "done" / "metrics.jsonl").open("a") as file:
        for step, loss in ((0, 0.5), (2, 0.25), (3, 0.375)):
            file.write(json.dumps({"step": step, "validation_loss": loss, "validation_pictures": 2}) + "\n")
    assert runs.read_run(folder / "done").validation_losses == ((0, 0.5), (2, 0.25), (3, 0.375))
    page = AppTest.from_file(PAGE, default_timeout=30).run()
    page.text_input(key="training.folder").set_value(str(folder / "done")).run()
    assert not page.exception
    assert any("lowest after update 2 (0.25000)" in caption.value for caption in page.caption)


def test_another_folder_shows_its_own_run(folder):
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    page.session_state["training.folder"] = str(folder / "going")
    page.run()
    assert "going on, or interrupted" in " ".join(caption.value for caption in page.caption)
    page.text_input(key="training.folder").input(str(folder / "done")).run()
    assert not page.exception
    assert page.selectbox(key="training.run").value == str(folder / "done")
    assert "3 updates, finished" in " ".join(caption.value for caption in page.caption)


def test_a_run_whose_pictures_are_gone_still_names_what_it_drew(tmp_path):
    line = {"step": 1, "pictures": ["gone.png"], "prompts": ["a teal t-shirt"]}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    run = runs.read_run(tmp_path)
    assert run.drawn == ()
    assert run.example == "a teal t-shirt"
