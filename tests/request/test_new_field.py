"""A field that is added to the table is found everywhere: in a copy of the package two declarations are added."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DECLARED = """
    sparkle: float | None = declared(
        Number(low=0, high=1, step=0.1), otherwise=0.0, label="Sparkle", help="How much it sparkles.",
        flag="--sparkle", flag_help="how much it sparkles", metavar="S", a1111="Sparkle", group="settings",
    )
"""
LOOK = """
import argparse, io, json
from dataclasses import replace
from PIL import Image
from streamlit.testing.v1 import AppTest
from sdxl_lora.feedback.changes import alike, changes
from sdxl_lora.generation import resolve, handoff
from sdxl_lora.records import a1111, metadata
from sdxl_lora.request import GenerationRequest, flags, schema

def form():
    from sdxl_lora.request import GenerationRequest
    from sdxl_lora.ui import tuning
    import streamlit as st
    if "create.sparkle" not in st.session_state:
        tuning.restore(GenerationRequest(prompt="p", sparkle=0.25))
    tuning.show()
    st.json({"said": tuning.values()["sparkle"]})

parser = argparse.ArgumentParser()
flags.add(parser)
plain = GenerationRequest(prompt="a cap", seed=1)
wish = replace(plain, sparkle=0.5)
one, other = resolve(plain), resolve(wish)
text = a1111.write(other, (64, 64))
page = AppTest.from_function(form, default_timeout=60).run()
print(json.dumps({
    "flag": flags.values(parser.parse_args(["--sparkle", "0.75"]))["sparkle"],
    "environment": flags.values(parser.parse_args([]))["sparkle"],
    "help": parser.format_help(),
    "widget": page.number_input(key="create.sparkle").label,
    "form": [json.loads(block.value)["said"] for block in page.json],
    "json": GenerationRequest.from_dict(wish.to_dict()) == wish,
    "png": metadata.read_request(io.BytesIO(metadata.embed(Image.new("RGB", (8, 8)), wish))) == wish,
    "a1111": text,
    "a1111 read": a1111.read(text)[0].sparkle,
    "differences": [str(change) for change in changes(replace(plain, sparkle=0.0), wish)],
    "alike": [alike(plain, wish), alike(plain, replace(plain, sparkle=0.0))],
    "resolved": [one.sparkle, other.sparkle],
    "keys": handoff.key_of(one, 4) == handoff.key_of(replace(other, seed=one.seed), 4),
    "schema": schema.json_schema()["properties"]["sparkle"],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a program with the field "sparkle" says of it."""
    copy = tmp_path_factory.mktemp("copy")
    # with what Python has compiled, which holds as long as a file's time does
    shutil.copytree(ROOT / "sdxl_lora", copy / "sdxl_lora", ignore=shutil.ignore_patterns("assets"))
    (copy / "sdxl_lora" / "assets").symlink_to(ROOT / "sdxl_lora" / "assets")
    wish = copy / "sdxl_lora" / "request" / "wish.py"
    resolved = copy / "sdxl_lora" / "request" / "resolved.py"
    wish.write_text(
        wish.read_text().replace(
            "\n    seed: int | None = declared(", f"{DECLARED}    seed: int | None = declared("
        )
    )
    resolved.write_text(
        resolved.read_text().replace("    seed: int\n", "    seed: int\n    sparkle: float\n")
    )
    (copy / "look.py").write_text(LOOK)
    environment = {**os.environ, "SDXL_LORA_SPARKLE": "0.125", "SDXL_LORA_HOME": str(copy / "home")}
    done = subprocess.run(
        [sys.executable, "look.py"], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return values


def test_the_command_line_and_the_environment_have_it(found: dict[str, Any]) -> None:
    assert (found["flag"], found["environment"]) == (0.75, 0.125)
    assert re.search(r"--sparkle S\s+how much it sparkles", found["help"])


def test_the_form_shows_it_and_restores_it(found: dict[str, Any]) -> None:
    assert (found["widget"], found["form"]) == ("Sparkle", [0.25])


def test_it_survives_a_picture_in_both_texts(found: dict[str, Any]) -> None:
    assert (found["json"], found["png"], found["a1111 read"]) == (True, True, 0.5)
    assert "Sparkle: 0.5" in found["a1111"]


def test_history_and_corrections_tell_it(found: dict[str, Any]) -> None:
    assert found["differences"] == ["Sparkle: 0 → 0.5"]
    assert found["alike"] == [False, True]


def test_it_is_resolved_and_part_of_the_keys(found: dict[str, Any]) -> None:
    assert found["resolved"] == [0.0, 0.5]
    assert not found["keys"]


def test_the_schema_describes_it(found: dict[str, Any]) -> None:
    assert found["schema"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 1}
    assert found["schema"]["description"] == "How much it sparkles."
