"""What the README and the pages on the command line and the settings say is there, and the commands they show work."""

import argparse
import json
import re
from pathlib import Path

import pytest

from sdxl_lora import cli
from sdxl_lora.request.wish import FIELDS
from tests import documents
from tests.documents import flags, make_targets, training_flags
from tests.stand_in import bundled, tiny_mini  # noqa: F401  fixtures

ROOT = Path(__file__).parents[1]
README = documents.read("README.md")
COMMAND_LINE = documents.read("docs/command-line.md")
SETTINGS = documents.read("docs/settings.md")
CONTRIBUTING = documents.read("CONTRIBUTING.md")
SHOWN = README + COMMAND_LINE  # what a user reads of commands

COMMANDS = documents.commands(SHOWN)
TRAININGS = [words for words in COMMANDS if "train_sdxl_lora.sh" in words]
VERBS = documents.verbs(SHOWN)
INLINE = documents.inline(SHOWN)


def cli_help(verb: str) -> str:
    parser = cli.build_parser([verb])
    [verbs] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return str(verbs.choices[verb].format_help())


def test_every_command_is_of_a_kind_that_is_tested_here() -> None:
    assert [
        words for words in COMMANDS if words[0] not in documents.PROGRAMS and words not in TRAININGS
    ] == []


def test_the_first_commands_are_the_two_that_start() -> None:
    assert COMMANDS[:2] == [["make", "run"], ["make", "test"]]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_command_line_is_understood(words: list[str]) -> None:
    if words == ["--help"]:
        assert cli.build_parser(words).format_help().startswith("usage: ")
        return
    arguments = cli.build_parser(words).parse_args(words)
    assert callable(arguments.run)


def test_every_verb_is_shown() -> None:
    assert set(cli.VERBS) - {words[0] for words in VERBS} == set()


def test_every_action_in_the_prose_exists() -> None:
    named = re.findall(r"`(?:python -m sdxl_lora )?models ([a-z-]+)", SHOWN)
    assert set(named) == {"fetch", "convert-lora"}
    assert [
        action for action in named if not re.search(rf"^ +{action}\b", cli_help("models"), re.MULTILINE)
    ] == []


def test_every_flag_in_the_prose_exists() -> None:
    known = set().union(*map(flags, cli.VERBS), {"--help"}, training_flags())
    assert {word for word in INLINE if word.startswith("--")} - known == set()


@pytest.mark.parametrize(
    "words", [w for w in VERBS if w[0] == "generate" and "--lora" not in w], ids=" ".join
)
def test_the_bundled_model_makes_the_pictures_that_are_shown(
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    paths = (
        [image["path"] for image in json.loads(out)["images"]] if "--json" in words else [out.split("  ")[0]]
    )
    assert all(Path(path).is_file() for path in paths)


def test_the_sample_data_set_passes_the_check_that_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [words] = [words for words in VERBS if words[0] == "check-data"]
    monkeypatch.chdir(ROOT)
    assert cli.main(words) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("words", [w for w in VERBS if w in (["models"], ["models", "--json"])], ids=" ".join)
def test_the_list_of_models_is_printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    assert "sdxl" in capsys.readouterr().out


def test_every_variable_and_flag_given_to_the_training_exists() -> None:
    script = (ROOT / "train_sdxl_lora.sh").read_text(encoding="utf-8")
    for words in TRAININGS:
        start = words.index("bash")
        variables = [word.split("=")[0] for word in words[:start]]
        assert [name for name in variables if f"${{{name}:-" not in script] == []
        flags_given = [word for word in words[start + 2 :] if word.startswith("--")]
        assert [flag for flag in flags_given if flag not in training_flags()] == []


def test_the_lora_the_training_writes_is_the_one_that_is_used() -> None:
    from sdxl_lora.training.export import DIFFUSERS_NAME

    script = (ROOT / "train_sdxl_lora.sh").read_text(encoding="utf-8")
    assert 'OUTPUT_DIR="${OUTPUT_DIR:-outputs/$(basename "$MODEL_NAME")-lora}"' in script
    assert 'MODEL_NAME="${MODEL_NAME:-mini}"' in script
    assert f"--lora outputs/mini-lora/{DIFFUSERS_NAME}" in README


def test_the_models_and_the_room_they_need_are_those_of_the_registry() -> None:
    from sdxl_lora.models import registry

    assert f"`{registry.describe('sdxl').source}`" in README
    assert f"`{registry.describe('sdxl').half_precision_vae}`" in README
    assert f"has {registry._ROOM_FOR_SDXL // 10**9} GB free" in " ".join(README.split())


def test_every_make_target_exists() -> None:
    shown = {words[1] for words in COMMANDS if words[0] == "make"}
    shown |= set(re.findall(r"`(?:[A-Z]+=\S+ )?make ([a-z-]+)`", README))
    assert shown <= make_targets()
    assert "PORT ?= 8501" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "localhost:8501" in README


def test_every_file_a_command_names_exists() -> None:
    shown = COMMANDS + documents.commands(CONTRIBUTING)
    named = {word for words in shown for word in words if re.fullmatch(r"[\w-]+\.(?:txt|py|sh)", word)}
    assert {"requirements.txt", "requirements-mini.txt", "requirements-dev.txt", "app.py"} <= named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_every_path_of_the_layout_exists() -> None:
    layout = CONTRIBUTING.split("## Layout")[1].split("\n## ")[0]
    paths = re.findall(r"`([\w./-]+)`", layout)
    assert len(paths) >= 6
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_variable_that_the_code_reads_is_explained_and_the_reverse() -> None:
    explained = set(re.findall(r"`(SDXL_LORA_[A-Z_]+)`", SETTINGS))
    sources = [*ROOT.glob("*.py"), *ROOT.glob("pages/*.py"), *ROOT.glob("sdxl_lora/**/*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    read = set(re.findall(r"environ(?:\.get\(|\[)\"(SDXL_LORA_[A-Z_]+)\"", code))
    read |= {field.setting for field in FIELDS if field.setting}
    read |= {f"SDXL_LORA_{name.upper()}" for name in re.findall(r"\bsetting\(\"([a-z_]+)\"\)", code)}
    assert explained == read


def test_the_commands_without_make_install_what_make_test_installs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [files] = re.findall(r"^DEVELOPMENT := (.*)$", makefile, re.MULTILINE)
    shown = documents.commands(CONTRIBUTING)
    [install] = [words for words in shown if words[0] == ".venv/bin/pip" and "requirements.txt" in words]
    assert [word for word in install if word.endswith(".txt")] == files.split()


def test_the_changelog_names_every_verb() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [verb for verb in cli.VERBS if verb not in changelog] == []
