"""The tiny CLIP stands in for the bundled one."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mini_folder(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `SDXL_LORA_MINI` may name: a folder with a CLIP in `clip/`."""
    folder = tmp_path_factory.mktemp("mini")
    shutil.copytree(tiny_clip, folder / "clip")
    return folder


@pytest.fixture(autouse=True)
def bundled(mini_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDXL_LORA_MINI", str(mini_folder))
    return mini_folder
