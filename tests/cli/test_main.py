"""What all verbs have in common: help, exit codes, and one line for whatever goes wrong."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sdxl_lora import __version__, cli
from sdxl_lora.cli import terminal
from sdxl_lora.errors import StorageError

ROOT = Path(__file__).parents[2]


def exit_code(*words: str) -> int:
    """Of `main`, whichever way it ends."""
    try:
        return cli.main(words)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[argparse.Namespace], int]], None]:
    """Replaces what `models` does."""
    from sdxl_lora.cli import models

    def replace(run: Callable[[argparse.Namespace], int]) -> None:
        monkeypatch.setattr(models, "run", run)

    return replace


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    out = capsys.readouterr().out
    assert all(f"    {name}" in out for name in cli.VERBS)


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m sdxl_lora {name}")


@pytest.mark.parametrize("words", [["--help"], ["generate", "--help"], ["models", "--help"]])
def test_help_does_not_wait_for_torch(words: list[str]) -> None:
    code = f"import sys; sys.argv[1:] = {words}\nfrom sdxl_lora.cli import main\n"
    code += "try: main()\nexcept SystemExit: print('torch' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == "False\n"


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "error: the following arguments are required: VERB; see python -m sdxl_lora --help"),
        (["generat"], "error: no verb named 'generat'; did you mean 'generate'?"),
        (["models", "--jso"], "error: unrecognized arguments: --jso; see python -m sdxl_lora --help"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*words) == 2
    assert capsys.readouterr() == ("", line + "\n")


def test_a_failure_is_its_own_line_without_traceback(
    verb: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise StorageError("the disk is full; free some space")

    verb(fail)
    assert exit_code("models") == 2
    assert capsys.readouterr().err == "error: the disk is full; free some space\n"


def test_control_c_is_one_line_and_exit_code_130(
    verb: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(arguments: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    verb(interrupt)
    assert exit_code("models") == 130
    assert capsys.readouterr().err == "interrupted; what was finished before is kept\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = "from sdxl_lora.cli import models\n"
    code += "models.run = lambda arguments: [print('x' * 100) for _ in range(10_000)] and 0\n"
    code += "import sys; from sdxl_lora.cli import main; sys.exit(main(['models']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_json_is_one_line_of_plain_unicode(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_json({"prompt": "夹克\n🧥"})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"prompt": "夹克\n🧥"}


PRINTS = "print_json({'path': 'Jäckchen 夹克 \\udcff.png'})"


def run_in_a_shell(redirection: str, body: str = PRINTS, encoding: str = "utf-8") -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a verb that does `body`, with its streams as a shell sets them up."""
    code = "import sys\nfrom sdxl_lora import cli\nfrom sdxl_lora.cli import models\n"
    code += "from sdxl_lora.cli.terminal import note, print_json\n"
    code += f"def run(arguments):\n    {body}\n    return 0\n"
    code += "models.run = run\nsys.exit(cli.main(['models']))"
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {redirection}', sys.executable, code],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "latin-1"])
def test_json_is_whole_whatever_stdout_can_write(encoding: str) -> None:
    code, out, err = run_in_a_shell("", encoding=encoding)
    assert (code, err) == (0, b"")
    assert json.loads(out.decode(encoding)) == {"path": "Jäckchen 夹克 \udcff.png"}


def test_lines_that_stdout_cannot_write_are_written_with_escapes() -> None:
    assert run_in_a_shell("", "print('0.1 … 0.2')", encoding="ascii") == (0, b"0.1 \\u2026 0.2\n", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    code, _, err = run_in_a_shell(">/dev/full")
    assert code == 2
    assert err == b"error: the result cannot be written to stdout: No space left on device\n"
    assert run_in_a_shell(">/dev/full", "sys.exit(0)")[::2] == (0, b"")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_takes_nothing_costs_no_result(redirection: str) -> None:
    code, out, err = run_in_a_shell(redirection, f"note('kept'); {PRINTS}")
    assert (code, err) == (0, b"")
    assert json.loads(out) == {"path": "Jäckchen 夹克 \udcff.png"}
    assert run_in_a_shell(redirection, "raise KeyboardInterrupt") == (130, b"", b"")


@pytest.mark.parametrize(
    ("size", "text"), [(None, "-"), (44_100_000, "44.1 MB"), (7_100_000_000, "7.1 GB"), (0, "0.0 MB")]
)
def test_sizes_are_in_decimal_units(size: int | None, text: str) -> None:
    assert terminal.megabytes(size) == text


def test_a_flag_left_out_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_STEPS", "7")
    monkeypatch.setenv("SDXL_LORA_GUIDANCE", "")
    parser = cli.build_parser(["generate"])
    assert parser.parse_args(["generate", "a jacket"]).steps == 7
    assert parser.parse_args(["generate", "a jacket", "--steps", "9"]).steps == 9
    assert parser.parse_args(["generate", "a jacket"]).guidance is None
