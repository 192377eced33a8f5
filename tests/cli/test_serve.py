"""`serve` and `tokens`."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

from sdxl_lora import cli
from tests.api.conftest import wait_until


def test_other_machines_are_served_only_once_there_is_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--no-ui", "--host", "0.0.0.0"]) == 2
    assert "make a token first" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        assert cli.main(["serve", "--no-ui", "--port", port]) == 2
    assert f"cannot listen at 127.0.0.1 port {port}" in capsys.readouterr().err
    assert cli.main(["serve", "--no-ui", "--port", "0"]) == 2


def test_tokens_are_made_listed_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tokens", "make", "shop", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["token"].startswith("sk-sdxl-")
    assert cli.main(["tokens", "list"]) == 0
    assert capsys.readouterr().out.startswith("shop  made ")
    assert cli.main(["tokens", "make", "shop"]) == 2
    assert cli.main(["tokens", "revoke", "shop"]) == 0
    assert cli.main(["tokens", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"tokens": []}
    assert cli.main(["tokens", "revoke", "shop"]) == 2
    assert "no token named 'shop'" in capsys.readouterr().err


def test_the_api_alone_starts_answers_and_ends_at_a_signal(home: Path, bundled: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sdxl_lora", "serve", "--no-ui", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:

        def healthy() -> bool:
            assert process.poll() is None
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    return bool(answer.status == 200)
            except (URLError, OSError):
                return False

        wait_until(healthy, 120)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (out.decode().strip(), err.decode()) == (f"http://127.0.0.1:{port}/v1", "")
