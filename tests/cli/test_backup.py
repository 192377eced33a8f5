"""`backup` and `restore` say what they did, and a restored data folder has the pictures."""

import json
from pathlib import Path

import pytest

from sdxl_lora import cli
from sdxl_lora.records import Store
from tests.finishing.test_signing import PIECE, finish


def test_a_data_folder_goes_into_a_file_and_comes_back(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(home) as store:
        finish(store, PIECE)
    file = tmp_path / "studio.zip"
    assert cli.main(["backup", str(file), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["file"], made["files"] > 0) == (str(file), True)
    monkeypatch.setenv("SDXL_LORA_HOME", str(tmp_path / "elsewhere"))
    assert cli.main(["restore", str(file)]) == 0
    assert f"{made['files']:,} files" in capsys.readouterr().out
    with Store(tmp_path / "elsewhere") as store:
        assert [record.request.prompt for record in store.page()] == ["a cap"]


def test_what_is_there_is_not_overwritten(
    home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Store(home) as store:
        finish(store, PIECE)
    file = tmp_path / "studio.zip"
    assert cli.main(["backup", str(file)]) == 0
    for command in (["backup", str(file)], ["restore", str(file)]):
        capsys.readouterr()
        assert cli.main(command) == 2
        assert capsys.readouterr().err.count("\n") == 1
