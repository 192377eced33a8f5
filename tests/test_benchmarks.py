"""Every benchmark is run by the command that its docstring names, from the root of the repository."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path for path in sorted((ROOT / "benchmarks").rglob("*.py")) if '== "__main__"' in path.read_text("utf-8")
]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__") for path in SOURCES
]


@pytest.mark.parametrize(("path", "module"), list(zip(SOURCES, MODULES, strict=True)), ids=MODULES)
def test_the_docstring_names_the_command(path: Path, module: str) -> None:
    said = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    assert set(re.findall(r"python (?:-m )?(benchmarks\S*?)(?=[`\s])", said)) == {module}


@pytest.mark.parametrize("module", MODULES)
def test_the_command_starts(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)  # of a test that imports it
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_the_readme_of_the_benchmarks_names_each() -> None:
    named = re.findall(r"`python -m (benchmarks\S*?)[` ]", (ROOT / "benchmarks/README.md").read_text("utf-8"))
    assert sorted(named) == sorted(MODULES)


def test_no_document_starts_a_benchmark_as_a_file() -> None:
    """`python benchmarks/x.py` does not find the package."""
    files = [*(ROOT / "sdxl_lora").rglob("*.py"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *SOURCES]
    wrong = [path for path in files if re.search(r"python benchmarks/", path.read_text("utf-8"))]
    assert [path.relative_to(ROOT).as_posix() for path in wrong if path.name != "log.md"] == []
