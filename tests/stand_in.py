"""Fixtures for tests that go through `Studio`: a tiny model with its CLIP stands in for the bundled one."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_mini(tiny_sdxl: Path, tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Laid out like the bundled model: the pipeline, and the CLIP that scores in `clip/`."""
    folder = tmp_path_factory.mktemp("mini") / "mini"
    shutil.copytree(tiny_sdxl, folder)
    shutil.copytree(tiny_clip, folder / "clip")
    (folder / "studio.json").write_text('{"steps": 2, "guidance": 3.0}')
    return folder


@pytest.fixture(autouse=True)
def bundled(tiny_mini: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_mini))
    return tiny_mini
