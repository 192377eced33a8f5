"""Setting up: pins, the Makefile, continuous integration, and what importing the package costs."""

import ast
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ("requirements.txt", "requirements-extra.txt", "requirements-mini.txt", "requirements-dev.txt")
ORIGINAL = {"streamlit", "torch", "diffusers", "transformers", "accelerate", "peft", "datasets"} | {
    "torchmetrics",
    "lpips",
    "scikit-image",
}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str) -> dict[str, str]:
    """Distribution -> version of one requirements file."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return dict(line.split("==") for line in lines if line)


def pinned(*names: str) -> set[str]:
    return {normalised(package) for name in names for package in pins(name)}


def imported_distributions(sources: list[Path]) -> set[str]:
    """Distributions whose modules these files import, standard library left out.

    Of several that share a name (`google`), one that is required counts.
    """
    providers, required = packages_distributions(), pinned(*REQUIREMENTS)
    used = {module for path in sources for module in top_modules(path) if module in providers}
    choices = [[normalised(name) for name in providers[module]] for module in used]
    return {next((name for name in names if name in required), names[0]) for names in choices}


def top_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_to_one_version_that_is_installed_here(name: str) -> None:
    assert {package: version(package).split("+")[0] for package in pins(name)} == pins(name)


def test_the_packages_of_the_original_project_are_required() -> None:
    assert pinned("requirements.txt") >= ORIGINAL


def test_whatever_the_studio_imports_is_required() -> None:
    sources = [ROOT / "app.py", *ROOT.glob("pages/*.py"), *ROOT.glob("*.py"), *ROOT.glob("sdxl_lora/**/*.py")]
    used = imported_distributions([p for p in sources if p.is_file() and "mini" not in p.parts])
    assert used - pinned("requirements.txt", "requirements-extra.txt") == set()


def test_whatever_the_making_of_the_bundled_model_imports_is_required() -> None:
    used = imported_distributions(list(ROOT.glob("sdxl_lora/mini/**/*.py")))
    assert used - pinned("requirements.txt", "requirements-mini.txt") == set()


def test_whatever_the_tests_import_is_required() -> None:
    used = imported_distributions(list(ROOT.glob("tests/**/*.py")))
    assert used - pinned(*REQUIREMENTS) == set()


def test_every_file_of_the_package_that_is_not_code_is_installed_with_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    package = ROOT / "sdxl_lora"
    installed = {path for pattern in settings["package-data"]["sdxl_lora"] for path in package.glob(pattern)}
    files = [path for path in package.glob("[!.]*/**/*") if path.is_file() and "assets" not in path.parts]
    kept = [path for path in files if not any(part.startswith((".", "__")) for part in path.parts)]
    assert [path for path in kept if path.suffix != ".py" and path not in installed] == []


def test_importing_the_package_loads_no_third_party_library() -> None:
    code = "import sys, sdxl_lora; print({'torch', 'numpy', 'diffusers', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_needs_torchvision_imports_after_the_package_whatever_torch_is_installed() -> None:
    code = "import sdxl_lora, lpips, torchvision; from transformers import CLIPModel, CLIPImageProcessor"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_make
def test_a_port_in_use_is_named_with_the_way_to_choose_another() -> None:
    with socket.create_server(("", 0)) as busy:
        port = busy.getsockname()[1]
        done = make("-s", "port", f"PORT={port}", f"VENV={sys.prefix}")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        f"error: port {port} is in use or not allowed; choose another, for example: PORT=8502 make run"
    )


@needs_make
def test_a_free_port_is_accepted_in_silence() -> None:
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    done = make("-s", "port", f"PORT={port}", f"VENV={sys.prefix}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_make
@pytest.mark.parametrize(
    ("target", "changed"), [("setup", "requirements.txt"), ("setup-dev", "requirements-dev.txt")]
)
def test_a_second_start_installs_nothing_until_a_requirement_changes(
    tmp_path: Path, target: str, changed: str
) -> None:
    for name in ("Makefile", *REQUIREMENTS):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "pip").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$@" >> pip.log\n')
    python.chmod(0o755)
    log = tmp_path / "pip.log"

    assert make(target, cwd=tmp_path).returncode == 0
    assert make(target, cwd=tmp_path).returncode == 0
    assert len(log.read_text().splitlines()) == 1

    with (tmp_path / changed).open("a") as file:
        file.write("six==1.17.0\n")
    assert make(target, cwd=tmp_path).returncode == 0
    assert len(log.read_text().splitlines()) == 2


@needs_make
def test_without_a_python_that_is_new_enough_one_line_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in REQUIREMENTS:
        shutil.copy(ROOT / name, tmp_path)
    done = make("-s", "setup", "PYTHON=", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("error: no Python 3.11 or newer found")


def test_continuous_integration_is_executable_and_runs_the_commands_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert {"make check", "make test"} <= set(lines)
    assert "set -euo pipefail" in lines


@needs_make
@pytest.mark.slow
def test_the_api_reference_has_a_page_for_every_module(tmp_path: Path) -> None:
    command = make("-n", "docs", f"DOCS={tmp_path}").stdout.splitlines()[-1]
    program, *rest = shlex.split(command)
    subprocess.run([Path(sys.executable).with_name(Path(program).name), *rest], cwd=ROOT, check=True)
    modules = {
        path.relative_to(ROOT).with_suffix(".html")
        for path in (ROOT / "sdxl_lora").rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py", "env.py")
    }
    assert {module for module in modules if not (tmp_path / module).is_file()} == set()
