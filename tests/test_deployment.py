"""What the files for containers, systemd and nginx name is there, pinned, and understood. No image is built here."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import documents

ROOT = Path(__file__).parents[1]
DOCKERFILE = documents.read("Dockerfile")
# one instruction a line
LINES = [
    line
    for line in re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line.strip()
]
COMPOSE = yaml.safe_load(documents.read("compose.yaml"))


def instructions(name: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(f"{name} ")]


def copied() -> list[str]:
    """What is copied from this folder."""
    found = (shlex.split(line) for line in instructions("COPY") if "--from=" not in line)
    return [source for words in found for source in words[:-1]]


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    ignored = documents.read(".dockerignore").splitlines()
    assert "*" in ignored
    assert {f"!{source}" for source in copied()} == {line for line in ignored if line.startswith("!")}


def test_everything_that_the_studio_imports_is_copied() -> None:
    assert {"app.py", "pages", "sdxl_lora", ".streamlit", "requirements.txt"} <= set(copied())


def test_packages_come_from_the_pinned_files_only() -> None:
    for line in instructions("RUN"):
        for command in re.findall(r"pip install (.*?)(?:;|&&|$)", line):
            words = shlex.split(command.replace("$(", "").replace(")", ""))
            named = [words[i + 1] for i, word in enumerate(words) if word == "-r"]
            assert all((ROOT / name).is_file() for name in named)
            assert named or "^torch==" in command  # the pin of requirements.txt itself
    assert re.search(r"^torch==[0-9.]+$", documents.read("requirements.txt"), re.MULTILINE)
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+(?: AS \w+)?", image) for image in instructions("FROM"))
    assert ":latest" not in DOCKERFILE


def test_the_container_has_a_user_without_rights_volumes_and_a_health_check() -> None:
    [user] = instructions("USER")
    identifier, group = user.split(":")
    assert f"--gid {group} studio " in DOCKERFILE
    assert f"--uid {identifier} " in DOCKERFILE
    assert identifier != "0"
    assert LINES.index(f"USER {user}") > max(i for i, line in enumerate(LINES) if line.startswith("RUN"))
    assert 'VOLUME ["/data", "/models"]' in LINES
    assert "SDXL_LORA_HOME=/data" in DOCKERFILE
    [check] = instructions("HEALTHCHECK")
    assert "/healthz" in check
    program = re.search(r'"-c", "(.*?)"\]', check)
    assert program is not None
    compile(program[1], "HEALTHCHECK", "exec")


def test_the_container_starts_as_make_run_does() -> None:
    [start] = instructions("CMD")
    assert start.startswith('["streamlit", "run", "app.py"')
    assert instructions("EXPOSE") == ["8501"]


@pytest.mark.parametrize(("service", "torch"), [("studio", "cpu"), ("studio-cuda", "cuda")])
def test_the_services_are_open_to_their_machine_alone_and_keep_their_data(service: str, torch: str) -> None:
    one = COMPOSE["services"][service]
    assert one["build"]["args"] == {"TORCH": torch}
    assert one["ports"] == ["127.0.0.1:${PORT:-8501}:8501"]
    assert {volume.split(":")[0] for volume in one["volumes"]} == set(COMPOSE["volumes"])
    assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
    assert one["profiles"] == [torch]
    assert ("deploy" in one) == (torch == "cuda")


def test_the_service_of_systemd_starts_what_is_there() -> None:
    unit = documents.read("deploy/sdxl-lora-studio.service")
    start = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert start is not None
    assert " run app.py " in start[1]
    state = re.search(r"^StateDirectory=(.*)$", unit, re.MULTILINE)
    assert state is not None
    assert f"SDXL_LORA_HOME=/var/lib/{state[1]}" in unit
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", ROOT / "deploy" / "sdxl-lora-studio.service"],
            capture_output=True,
            text=True,
        )
        assert "Unknown" not in done.stderr


def test_the_proxy_passes_on_what_the_studio_needs() -> None:
    text = documents.read("deploy/nginx.conf")
    assert text.count("{") == text.count("}")
    for needed in (
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header X-Forwarded-For",
        "proxy_set_header Host $host;",
        "proxy_buffering off;",
        "client_max_body_size 40m;",
    ):
        assert needed in text
