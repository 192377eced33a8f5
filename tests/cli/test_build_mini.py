"""`build-mini`: found by its name, and clear about what it needs. What it does is tested in tests/mini."""

import sys

import pytest

from sdxl_lora import cli


def test_an_unknown_stage_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build-mini", "--stages", "pictures,vea"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: no stage named 'vea'; did you mean 'vae'?")


def test_without_the_renderers_libraries_one_line_names_the_command_that_installs_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("sdxl_lora.mini")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("sdxl_lora.mini.build", raising=False)
    monkeypatch.setitem(
        sys.modules, "skia", None
    )  # what Python puts there for a module that is not installed
    assert cli.main(["build-mini", "--help"]) == 2
    assert capsys.readouterr() == ("", "error: build-mini needs skia: pip install -r requirements-mini.txt\n")
