"""Whatever stands in a file or in a flag: one line that says what is wrong, and never a traceback."""

import json
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sdxl_lora import cli, prompts
from sdxl_lora.comparing import archive, columns
from sdxl_lora.comparing import prompts as comparison_prompts
from sdxl_lora.errors import InputError, StudioError
from sdxl_lora.evaluation import report
from sdxl_lora.evaluation.pairing import read_captions
from sdxl_lora.feedback.complaints import understand
from sdxl_lora.models import registry
from sdxl_lora.prompts import emphasis, translation
from sdxl_lora.records import metadata
from sdxl_lora.scoring import limits
from sdxl_lora.scoring.spec import scored_text

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
DEEP = b"[" * 100_000
DIGITS = b'{"file_name": ' + b"9" * 5_000 + b', "text": "a"}'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
CONTENTS = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())


def assert_only_our_errors(read: Callable[[], object]) -> None:
    said = ""
    try:
        read()
    except InputError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".txt", ".yaml"])
@QUICK
@given(content=CONTENTS)
@example(content=DEEP)
@example(content=DIGITS)
@example(content=b"\xff\xfe\x00")
@example(content=b'{"file_name": "a\\u0000b", "text": "\\ud800"}')
@example(content=b'file_name,text\n"' + b"x" * 200_000 + b'",a')
def test_captions_and_prompts_of_any_content(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"captions{suffix}"
    path.write_bytes(content)
    assert_only_our_errors(lambda: read_captions(path, ["a", "b"]))
    assert_only_our_errors(lambda: comparison_prompts.read(path))


@QUICK
@given(content=CONTENTS)
@example(content=DEEP)
@example(content=b'{"schema": "x", "id": 1, "metrics": 1, "pairs": 1, "provenance": 1}')
def test_reports_templates_pictures_and_archives_of_any_content(content: bytes, tmp_path: Path) -> None:
    for name in ("report.json", "template.yaml", "picture.png", "archive.zip"):
        (tmp_path / name).write_bytes(content)
    assert_only_our_errors(lambda: report.read(tmp_path / "report.json"))
    assert_only_our_errors(lambda: prompts.library.load(tmp_path / "template.yaml"))
    assert_only_our_errors(lambda: metadata.read_request(tmp_path / "picture.png"))
    assert_only_our_errors(lambda: archive.read_zip(tmp_path / "archive.zip"))


@QUICK
@given(content=CONTENTS)
@example(content=DEEP)
def test_a_model_folder_with_any_description(content: bytes, tmp_path: Path) -> None:
    for name in ("model_index.json", "studio.json"):
        (tmp_path / name).write_bytes(content)
    assert_only_our_errors(lambda: registry.describe(str(tmp_path)))


@QUICK
@given(names=st.lists(st.text(min_size=1, max_size=20), max_size=3))
@example(names=["x" * 300 + ".png"])
@example(names=["../../a.png", "/a.png", "C:\\a.png"])
@example(names=["\0.png"])
def test_archives_with_any_names(names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in {name.partition("\0")[0] for name in names}:  # zipfile ends a name there
            if name and not any(0xD800 <= ord(c) < 0xE000 for c in name):
                file.writestr(name, b"x")
    assert_only_our_errors(lambda: archive.read_zip(path))


@QUICK
@given(text=st.text(max_size=120))
@example(text="{" * 300)
@example(text="(a:" + "9" * 400 + ")")
def test_any_words(text: str) -> None:
    assert_only_our_errors(lambda: prompts.expand(text).count)
    emphasis.parse(text)
    scored_text(text)
    understand(text, {"colour": "navy", "logo": "star"}, ["on the chest"])
    translation.of_sentence(text)
    limits.of("mini", text)
    assert_only_our_errors(lambda: columns.parse(text, comparison_prompts.EXAMPLES))


ODD = (
    "",
    " ",
    "nowhere",
    "x" * 300,
    "a/" * 2_100,
    "9" * 5_000,
    "-1",
    "nan",
    "1e999",
    "\udcff",
    "夹克",
    "a=b:c+d,e",
)
COMMANDS = [
    shlex.split(line)
    for line in """
evaluate --generated {}
evaluate --generated nowhere --captions {}
evaluate --generated nowhere --metrics {}
evaluate --generated nowhere --resize {}
evaluate --generated nowhere --weights {}
evaluate --generated nowhere --against {}
evaluate --generated nowhere --top-by {}
evaluate --generated nowhere --output {}
evaluate --generated nowhere --reference {}
evaluate --model mini --captions {}
score {} --prompt 'a cap'
score nowhere.png --prompt {}
score --calibrate --template {}
score nowhere.png --clip {}
compare --column {}
compare --column model:{} --column A=pictures:nowhere
compare --column A=pictures:{} --column B=pictures:nowhere
compare --show {}
compare --column model:mini --prompts {}
compare --column model:mini --output {}
compare --column model:mini --metrics {}
check-data {}
check-data nowhere --resolution {}
check-data nowhere --model {}
caption {}
caption nowhere --batch {}
models fetch {}
models convert-lora {}
models convert-lora nowhere --output {}
generate {} --model no-such-model
generate 'a cap' --model {}
generate 'a cap' --template {}
generate 'a cap' --set {} --template jacket --model no
generate 'a cap' --lora {} --model no-such-model
generate 'a cap' --seed {} --model no
generate 'a cap' --width {} --model no
generate 'a cap' --guidance {} --model no
generate 'a cap' --output {} --model no
generate 'a cap' --level {} --model no
generate 'a cap' --negative {} --model no
generate 'a cap' --scheduler {} --model no
""".strip().splitlines()
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command))
def test_any_value_of_a_flag_ends_in_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ODD:
        words = [word.format(value) for word in command]
        try:
            code = cli.main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        except StudioError:  # the parser's own, before main catches them
            code = 2
        error = capsys.readouterr().err
        assert code == 2, (words, error)
        assert error.splitlines()[-1].startswith("error: "), (words, error)
        assert "Traceback" not in error
