"""The first page needs nothing that takes seconds to import, nor does what pages import, see `sdxl_lora.later`."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sdxl_lora.later import HEAVY

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "pages").glob("*.py"))
FIRST_PAGE = """
import sys
from pathlib import Path
import app  # as the server does, the HTTP API included
from sdxl_lora import later
from streamlit.testing.v1 import AppTest
later.in_background(lambda: None, when=__import__("threading").Event().wait)  # as in a server until a page is out
at = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=60).run()
assert not at.exception, at.exception
assert "Generate" in [button.label for button in at.button]
print(*[name for name in later.HEAVY if name in sys.modules])
"""


def test_the_first_page_is_shown_before_anything_heavy_is_imported(home: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", FIRST_PAGE], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split() == []


@pytest.mark.parametrize("name", ["app.py", *PAGES])
def test_no_page_reaches_what_is_heavy_but_through_a_door(name: str) -> None:
    """At the top of a page or of a module, where several threads would import at once."""
    assert heavy_ways(name) == []


def heavy_ways(start: str) -> list[str]:
    """Ways from a file to a heavy library, along what is imported as soon as it is."""
    ways: list[str] = []
    seen, line = {start}, [[start]]
    while line:
        way = line.pop()
        for module in imported_at_once(way[-1]):
            if module.split(".")[0] in HEAVY:
                ways.append(" -> ".join([*way, module]))
            for file in files_of(module):
                if file not in seen:
                    seen.add(file)
                    line.append([*way, file])
    return ways


def test_a_module_that_is_heavy_is_found() -> None:
    assert any(way.endswith("-> torch") for way in heavy_ways("sdxl_lora/generation/engine.py"))


def test_no_module_enters_a_door_while_it_is_imported() -> None:
    """Or two threads could wait for each other: one for the door, one for the module."""
    behind = {
        f"sdxl_lora.{room}": behind_door(f"sdxl_lora/{room}/__init__.py") for room in ("export", "generation")
    }
    assert all(behind.values())
    wrong = [
        f"{path.relative_to(ROOT)} imports {name} of {package}"
        for path in (ROOT / "sdxl_lora").rglob("*.py")
        for node in at_once(ast.parse(path.read_text("utf-8")).body)
        if isinstance(node, ast.ImportFrom) and (package := node.module or "") in behind
        for name in {alias.name for alias in node.names} & behind[package]
    ]
    assert wrong == []


def behind_door(name: str) -> set[str]:
    """Names that a package gives through `later.names`."""
    return {
        key.value
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "later.names"
        for key in getattr(node.args[1], "keys", [])
    }


@cache
def imported_at_once(name: str) -> tuple[str, ...]:
    """Modules that a file imports when it is imported, and those around them."""
    found: list[str] = []
    for node in at_once(ast.parse((ROOT / name).read_text("utf-8")).body):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        else:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


def at_once(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that are run with their file: in no function, not for types only, not within a door."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If):
            yield from at_once(
                node.orelse if "TYPE_CHECKING" in ast.unparse(node.test) else [*node.body, *node.orelse]
            )
        elif isinstance(node, ast.With):
            yield from at_once([] if "importing()" in ast.unparse(node.items[0]) else node.body)
        elif isinstance(node, ast.Try | ast.ClassDef):
            yield from at_once(node.body)


def files_of(module: str) -> Iterator[str]:
    """The files of this repository that importing `package.module` or `package.name` runs."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        path = Path(*parts[:length])
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if (ROOT / file).is_file():
                yield file.as_posix()
