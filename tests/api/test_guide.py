"""What the guide shows of the API works: its programs are run against a server, as they stand there."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import documents

GUIDE = documents.read("docs/guide/api.md")
SHOWN_AT = "http://localhost:8501"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_programs_of_the_guide_run(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    port = address.rpartition(":")[2]
    program = "\n".join(blocks("python")).replace(SHOWN_AT, address).replace("port=8501", f"port={port}")
    program = program.replace("256x256", "64x64").replace("width=256, height=256", "width=64, height=64")
    names: dict[str, Any] = {}
    exec(compile(program, "docs/guide/api.md", "exec"), names)
    names["client"].close()
    names["api"].session.close()
    assert [path.read_bytes()[:4] for path in sorted(tmp_path.glob("*.png"))] == [b"\x89PNG"] * 3
    out = capsys.readouterr().out
    assert "Northpeak" in out
    assert "image_generation.completed" in out


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_guide_run(address: str, tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(blocks("bash")).replace(SHOWN_AT, address)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=os.environ, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "event: done" in done.stdout
    assert '"code"' not in done.stdout
    assert '{"status":"ok"}' in done.stdout
    assert 'sdxl_lora_jobs{state="done"}' in done.stdout
