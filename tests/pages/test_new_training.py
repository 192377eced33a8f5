"""A training is started from the page: what is wrong with the pictures comes first, and the job is what was chosen."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.jobs import training
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.ui import new_training, shared
from tests.captioned import captioned
from tests.pages.conftest import TIMEOUT

Open = Callable[..., AppTest]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return captioned(tmp_path / "photos", 3, "a cap with crest {}")


@pytest.fixture(autouse=True)
def never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer itself is tested in `tests/jobs/test_training.py`."""
    monkeypatch.setattr(training.TrainingRunner, "run", lambda self, spec, cancel: iter(()))


def opened(open_app: Open, folder: Path) -> AppTest:
    at = open_app().switch_page("pages/training.py").run(timeout=TIMEOUT)
    return at.text_input(key="training.new.folder").input(str(folder)).run(timeout=TIMEOUT)


def test_a_goal_and_a_folder_are_enough(open_app: Open, photos: Path, home: Path) -> None:
    at = opened(open_app, photos)
    assert "3 pictures, nothing to put right." in at.success[0].value
    at = at.number_input(key="training.new.steps").set_value(12).run(timeout=TIMEOUT)
    at = at.button(key="training.new.start").click().run(timeout=TIMEOUT)
    assert not at.exception
    [job] = shared.queue().jobs(kind="training")
    wish = job.spec.training
    assert wish is not None
    assert job.title == "photos-emblem"
    settings = dict(wish.settings)
    assert (settings["max_train_steps"], settings["checkpointing_steps"]) == (12, 3)
    assert settings["validation_prompt"] == "a cap with crest 0 | a cap with crest 1"
    assert settings["output_dir"] == str(home / "training" / "runs" / "photos-emblem")
    TrainingConfig(**settings)  # type: ignore[arg-type]  # the trainer takes them


def test_what_is_wrong_with_the_pictures_is_said_before_anything_is_started(
    open_app: Open, photos: Path
) -> None:
    (photos / "1.txt").unlink()
    (photos / "2.png").write_bytes(b"no picture")
    at = opened(open_app, photos)
    assert "things to put right first" in at.warning[0].value
    said = " ".join(element.value for element in at.markdown)
    assert "have no caption" in said
    assert "cannot be read" in said


def test_a_folder_without_pictures_and_a_name_that_is_taken_are_one_line(
    open_app: Open, photos: Path, tmp_path: Path, home: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert opened(open_app, empty).error
    (home / "training" / "runs" / "photos-emblem").mkdir(parents=True)
    at = opened(open_app, photos)
    at = at.button(key="training.new.start").click().run(timeout=TIMEOUT)
    assert "there is a training named 'photos-emblem' already" in at.error[0].value.replace("\\", "")
    assert shared.queue().jobs(kind="training") == []


def test_a_zip_brings_its_captions(photos: Path, home: Path) -> None:
    import io
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(photos.iterdir()):
            archive.write(path, f"inside/{path.name}")
    folder = new_training._unpacked("photos.zip", data.getvalue())
    assert folder.is_relative_to(home)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in photos.iterdir())
