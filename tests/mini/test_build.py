"""The build runs its stages once, and counts the time of interrupted runs."""

import json
from pathlib import Path

import pytest

from sdxl_lora.mini.build import _run_stage
from sdxl_lora.mini.settings import PROFILES, BuildFolder


def test_a_stage_that_was_interrupted_counts_the_time_of_both_runs_and_then_never_runs_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, settings = BuildFolder(root=tmp_path), PROFILES["smoke"]

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def fine(*_: object) -> None:
        pass

    with pytest.raises(KeyboardInterrupt):
        _run_stage("vae", interrupted, folder, settings)
    assert not (tmp_path / "vae" / "done.json").exists()
    (tmp_path / "vae" / "seconds.txt").write_text("120.0")
    _run_stage("vae", fine, folder, settings)
    assert json.loads((tmp_path / "vae" / "done.json").read_text())["seconds"] == 120
    _run_stage("vae", interrupted, folder, settings)
    assert "[vae] already done" in capsys.readouterr().err
