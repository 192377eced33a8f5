"""What documents say, taken apart: commands in shell blocks, what stands in backticks, headings. Knows no document."""

import argparse
import re
import shlex
from functools import cache
from pathlib import Path

from sdxl_lora import cli

ROOT = Path(__file__).parents[1]
PYTHON = ".venv/bin/python"
VERB = [PYTHON, "-m", "sdxl_lora"]
PROGRAMS = (PYTHON, ".venv/bin/pip", ".venv/bin/ruff", ".venv/bin/streamlit", "python3", "make")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(text: str) -> list[list[str]]:
    """Words of every line in the shell blocks of a document."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.strip()]


def verbs(text: str) -> list[list[str]]:
    """The command lines of this program in a document, from the verb on."""
    return [words[3:] for words in commands(text) if words[:3] == VERB]


def inline(text: str) -> list[str]:
    """What stands in backticks outside of blocks."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)


def anchors(text: str) -> list[str]:
    """What links to the headings of a document are called, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@cache
def flags(verb: str) -> frozenset[str]:
    """All the flags of a verb and of what stands below it."""
    parser = cli.build_parser([verb])
    [choices] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    found, waiting = set(), [choices.choices[verb]]
    while waiting:
        for action in waiting.pop()._actions:
            found.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
    return frozenset(found)


@cache
def training_flags() -> frozenset[str]:
    from sdxl_lora.training import flags

    return frozenset(option for action in flags._parser()._actions for option in action.option_strings)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), re.MULTILINE))


def markers() -> set[str]:
    """Of tests, for `pytest -m`."""
    return set(re.findall(r'^    "(\w+): ', read("pyproject.toml").split("markers = [")[1], re.MULTILINE))


def missing_paths(words: list[str]) -> list[str]:
    """Of words that begin with a file or folder of this repository's root, those that are not there."""
    tops = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") or path.name == ".ci"}
    paths = [word for word in words if re.fullmatch(r"[\w./-]+", word) and word.split("/")[0] in tops]
    return [path for path in paths if not (ROOT / path).exists()]
