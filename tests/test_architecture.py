"""The rules of `docs/architecture.md`, checked by parsing every source file: nothing is imported or run."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sdxl_lora"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
BROAD = ("Exception", "BaseException")
MAY_IMPORT_STREAMLIT = (
    "app.py",
    "pages/",
    "sdxl_lora/ui.py",
    "sdxl_lora/ui/",
    "tests/",
    "benchmarks/gallery.py",
)
TOP_OF_THE_HOUSE = ("sdxl_lora/__init__.py", "sdxl_lora/__main__.py")

SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("sdxl_lora", "pages", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
) + sorted(path.name for path in ROOT.glob("*.py"))
PRODUCT = [name for name in SOURCES if not name.startswith("tests/")]
PACKAGE_SOURCES = [name for name in SOURCES if name.startswith("sdxl_lora/") and name not in TOP_OF_THE_HOUSE]


def documented_rooms() -> dict[str, bool]:
    """Room -> whether it is said to be built, in the order of the table in `docs/architecture.md`."""
    section = ARCHITECTURE.read_text(encoding="utf-8").split("## Rooms")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|(.*)$", section, re.MULTILINE)
    return {name.removesuffix("/").removesuffix(".py"): NOT_BUILT not in row for name, row in rows}


NOT_BUILT = "(not built yet)"
DOCUMENTED = documented_rooms()
ROOMS = list(DOCUMENTED)


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def parse(name: str) -> ast.Module:
    return ast.parse(text(name), filename=name)


def imported_modules(name: str) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import in a file, also inside functions; relative ones made absolute."""
    package = Path(name).with_suffix("").parts[:-1]
    for node in ast.walk(parse(name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from sdxl_lora import config` imports the module sdxl_lora.config
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def room_of(module: str) -> str | None:
    """`sdxl_lora.models.registry` -> `models`; None for what is no room, such as `sdxl_lora.__version__`."""
    parts = module.split(".")
    return parts[1] if parts[0] == "sdxl_lora" and len(parts) > 1 and parts[1] in ROOMS else None


def test_the_rooms_that_exist_are_those_documented_as_built() -> None:
    built = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" and path.stem not in ("__init__", "__main__"))
        or (path.is_dir() and any(path.glob("*.py")))
    }
    assert sorted(built) == sorted(room for room, is_built in DOCUMENTED.items() if is_built)


def test_a_room_imports_only_rooms_above_it() -> None:
    wrong = []
    for name in PACKAGE_SOURCES:
        room = Path(name).with_suffix("").parts[1]
        allowed = set(ROOMS[: ROOMS.index(room) + 1]) if room in ROOMS else set()
        if room not in ("mini", "cli"):
            allowed.discard("mini")  # how the model is made is of no interest to those who use it
        for line, module in imported_modules(name):
            if (other := room_of(module)) is not None and other not in allowed:
                wrong.append(f"{name}:{line} imports {module}")
    assert wrong == []


def test_only_the_pages_and_what_they_share_import_streamlit() -> None:
    elsewhere = [name for name in SOURCES if not name.startswith(MAY_IMPORT_STREAMLIT)]
    wrong = [
        f"{name}:{line}"
        for name in elsewhere
        for line, module in imported_modules(name)
        if module.split(".")[0] == "streamlit"
    ]
    assert wrong == []


def test_pictures_are_asked_for_at_the_front_door() -> None:
    """Nobody but the jobs loads a model to draw; a calibration makes pictures that nobody keeps."""
    drawing = ("jobs", "generation", "models", "training", "mini")
    wrong = []
    for name in PRODUCT:
        if name.startswith("benchmarks/") or name == "sdxl_lora/search/calibrating.py":
            continue
        parts = Path(name).parts
        if parts[0] == "sdxl_lora" and parts[1] in drawing:
            continue
        used = {ast.unparse(node.func) for node in ast.walk(parse(name)) if isinstance(node, ast.Call)}
        imported = {module.removeprefix("sdxl_lora.") for _, module in imported_modules(name)}
        if "generation.generate" in used or imported & {"models.loading.load", "generation.generate"}:
            wrong.append(name)
    assert wrong == []


def test_files_are_short() -> None:
    lengths = {name: len(text(name).splitlines()) for name in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for name in SOURCES
        for node in ast.walk(parse(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {function: lines for function, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_no_exception_is_caught_broadly() -> None:
    wrong = []
    for name in PRODUCT:
        for node in ast.walk(parse(name)):
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds):
                    wrong.append(f"{name}:{node.lineno}")
    assert wrong == []


def test_every_module_says_what_it_does() -> None:
    said = {name: len((ast.get_docstring(parse(name)) or "").strip()) for name in PRODUCT}
    assert [name for name, characters in said.items() if characters < 15] == []


def test_json_from_outside_is_read_in_one_place() -> None:
    """`json.loads` raises RecursionError and ValueError, too; what was written a moment ago may be read with it."""
    own = ("sdxl_lora/plain_json.py", "sdxl_lora/mini/", "sdxl_lora/evaluation/measure.py")
    calls = {
        name: re.findall(r"\bjson\.loads?\((?!json\.dumps)", text(name))
        for name in PACKAGE_SOURCES
        if not name.startswith(own)
    }
    assert [name for name, found in calls.items() if found] == []


def test_nothing_is_left_to_do() -> None:
    found = {
        name: re.findall(r"\b(?:TODO|FIXME|XXX|HACK|NotImplementedError)\b", text(name)) for name in PRODUCT
    }
    assert {name: marks for name, marks in found.items() if marks} == {}


def test_only_models_and_what_trains_them_reach_into_a_pipeline() -> None:
    """Everybody else encodes, denoises and decodes through `models.engine.Engine`."""
    parts = {"unet", "vae", "tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "pipeline"}
    inside = ("sdxl_lora/models/", "sdxl_lora/training/", "sdxl_lora/mini/")
    wrong = [
        f"{name}:{node.lineno} .{node.attr}"
        for name in PACKAGE_SOURCES
        if not name.startswith(inside)
        for node in ast.walk(parse(name))
        if isinstance(node, ast.Attribute) and node.attr in parts
    ]
    assert wrong == []


def test_the_doors_of_the_rooms_exist() -> None:
    """Every dotted name in backticks there is a module of the package, or what one defines or imports."""
    section = ARCHITECTURE.read_text(encoding="utf-8").split("## Doors")[1].split("\n## ")[0]
    names = [name for name in re.findall(r"`([a-z_]+(?:\.\w+)+)`", section) if name.split(".")[0] in ROOMS]
    assert len(names) > 50
    assert [name for name in names if not is_there(name)] == []


def is_there(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = path.parent / "__init__.py" if path.parent.is_dir() else path.parent.with_suffix(".py")
    return module.is_file() and path.name in defined(module.relative_to(ROOT).as_posix())


@cache
def defined(name: str) -> set[str]:
    """What a module defines or imports at its top."""
    found: set[str] = set()
    body = list(parse(name).body)
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.If):  # a door: types know the names, `later.names` gives them
            body += node.body
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found
