"""What documents beside the README say is there, and the commands they show are ones that work."""

import re

import pytest

from sdxl_lora import cli
from tests import documents
from tests.documents import ROOT

GUIDE = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/guide/*.md"))
SHOWING_COMMANDS = ["CONTRIBUTING.md", "docs/command-line.md", *GUIDE]
ALL = [
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/guide/*.md"),
        *ROOT.glob("benchmarks/**/*.md"),
    )
]
LOG = documents.read("docs/log.md")
INDEX = LOG.split("## By question\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", SHOWING_COMMANDS)
def test_every_command_is_one_that_works(name: str) -> None:
    shown = documents.commands(documents.read(name))
    assert [words for words in shown if words[0] not in documents.PROGRAMS] == []
    inline = [words.split() for words in documents.inline(documents.read(name)) if words.startswith("make ")]
    assert {words[1] for words in [*shown, *inline] if words[0] == "make"} <= documents.make_targets()
    assert [words for words in shown if documents.missing_paths(words[1:])] == []
    tests = [words for words in shown if words[1:3] == ["-m", "pytest"]]
    assert {words[-1] for words in tests if "-m" in words[3:]} <= documents.markers()
    for words in documents.verbs(documents.read(name)):
        if words == ["--help"]:
            continue  # it prints and ends
        assert callable(cli.build_parser(words).parse_args(words).run)


def test_contributors_are_shown_the_commands_that_ci_runs() -> None:
    shown = documents.commands(documents.read("CONTRIBUTING.md"))
    assert shown[:3] == [["make", "setup-dev"], ["make", "check"], ["make", "test"]]


@pytest.mark.parametrize("name", [name for name in ALL if name != "docs/log.md"])
def test_every_path_that_is_named_exists(name: str) -> None:
    assert documents.missing_paths(documents.inline(documents.read(name))) == []


def test_every_test_that_is_named_is_in_its_file() -> None:
    row = re.compile(r"`(tests/[\w/]+\.py)`(?: \(((?:`test_\w+`(?:, )?)+)\))?")
    named = {
        (path, test)
        for name in ALL
        for path, tests in row.findall(documents.read(name))
        for test in re.findall(r"`(\w+)`", tests)
    }
    assert len(named) > 5
    assert {test for path, test in named if f"def {test}(" not in documents.read(path)} == set()


@pytest.mark.parametrize("name", SHOWING_COMMANDS)
def test_every_flag_that_is_named_exists(name: str) -> None:
    known = frozenset({"--help"}).union(documents.training_flags(), *map(documents.flags, cli.VERBS))
    assert {word for word in documents.inline(documents.read(name)) if word.startswith("--")} - known == set()


@pytest.mark.parametrize("name", ALL)
def test_every_link_and_picture_is_there(name: str) -> None:
    here = ROOT / name
    for link in re.findall(r"\](?:\(|: (?=#))([^)\s]+)", documents.read(name)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = here.parent / path if path else here
        assert target.exists(), link
        assert not anchor or anchor in documents.anchors(target.read_text(encoding="utf-8")), link


def test_every_label_the_guide_names_is_in_the_studio() -> None:
    text = "".join(documents.read(name) for name in GUIDE)
    named = {" ".join(label.split()) for label in re.findall(r"\*{1,2}([A-Z][^*]+)\*{1,2}", text)}
    sources = [ROOT / "app.py", *ROOT.glob("pages/*.py"), *ROOT.glob("sdxl_lora/ui/*.py")]
    sources += [
        ROOT / f"sdxl_lora/request/{name}.py" for name in ("wish", "finish")
    ]  # the form is made from them
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    assert {"Generate", "Gallery", "One shot"} <= named
    assert [label for label in named if f'"{label}"' not in code] == []


def test_the_pictures_of_the_guide_are_small_and_all_are_shown() -> None:
    pictures = sorted(ROOT.glob("docs/guide/*.jpg"))
    shown = "".join(documents.read(name) for name in GUIDE)
    assert [picture.name for picture in pictures if f"({picture.name})" not in shown] == []
    assert sum(picture.stat().st_size for picture in pictures) < 600_000


def test_the_index_of_the_log_names_paragraphs_that_are_in_the_entry_it_links_to() -> None:
    entries = dict(
        zip(documents.anchors(LOG)[1:], re.split(r"^## .*$", LOG, flags=re.MULTILINE)[1:], strict=True)
    )
    where = dict(re.findall(r"^\[(.+)\]: #(\S+)$", INDEX, re.MULTILINE))
    links = re.findall(r"^  \[(.+?)\](.*?);?$", INDEX, re.MULTILINE)
    assert {name for name, _ in links} == set(where)
    wrong = [
        (name, paragraph)
        for name, paragraphs in links
        for paragraph in re.findall(r"\*([^*]+)\*", paragraphs)
        if f"**{paragraph}" not in entries[where[name]]
    ]
    assert wrong == []


def test_the_index_of_the_log_copies_no_number() -> None:
    assert re.findall(r"\d+", re.sub(r"^\[.*$", "", INDEX, flags=re.MULTILINE)) == []


def test_every_test_that_a_document_names_is_there() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = {name for text in map(documents.read, ALL) for name in re.findall(r"`(test_\w+)`", text)}
    assert len(named) > 10  # docs/gpu.md has one for each defect
    assert {name for name in named if f"def {name}(" not in sources} == set()
