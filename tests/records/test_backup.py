"""A backup holds everything, also while others write; what is restored opens with all of it and overwrites nothing."""

import io
import json
import stat
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora import cli, inputs
from sdxl_lora.api.tokens import Tokens
from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.records import Store, backup
from sdxl_lora.records.votes import Votes
from tests.records.shared import PICTURE, add, pngs, request


@pytest.fixture
def filled(home: Path) -> Path:
    """A data folder with something of everything."""
    with Store(home) as store, Votes(store.database) as votes:
        record = add(store)
        store.thumbnail(record)
        store.mark_favourite(record.id)
        votes.cast(record.id, approved=True, model="m", features=[1.0])
        JobStore(store.database).submit([JobSpec(request=request("waits"), idempotency_key="k")], pinned="")
    Tokens(home).make("shop")
    inputs.keep(PICTURE, smallest=1)
    (home / "templates").mkdir()
    (home / "templates" / "own.yaml").write_text("title: Größe")
    (home / "cache").mkdir()
    (home / "cache" / "large").write_bytes(b"x" * 1000)
    return home


def test_a_restored_folder_opens_with_everything(filled: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "backup.zip", tmp_path / "other"
    made = backup.make(filled, file)
    assert backup.restore(file, other) == made
    with Store(other) as store, Votes(store.database) as votes:
        assert store.notices == ()
        [record] = store.page()
        assert (record.request.prompt, record.favourite) == ("a navy jacket", True)
        vote = votes.find(record.id)
        assert vote is not None
        assert vote.approved
        [job] = JobStore(store.database).find(None, limit=10)
        assert (job.job.state, job.job.request.prompt) == ("queued", "waits")
        assert store.thumbnail(record).is_file()  # made again
    assert [token.name for token in Tokens(other).all()] == ["shop"]
    assert stat.S_IMODE((other / "api_tokens.json").stat().st_mode) == 0o600
    assert (other / "templates" / "own.yaml").read_text() == "title: Größe"
    assert len(list((other / "inputs").iterdir())) == 1
    assert not (other / "cache").exists()
    assert [path for path in other.iterdir() if path.name.startswith(".")] == []


def test_a_backup_is_whole_while_pictures_are_made(filled: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    with Store(filled) as store:

        def make_pictures() -> None:
            seed = 100
            while not stop.is_set():
                add(store, seed=(seed := seed + 1))

        making = threading.Thread(target=make_pictures)
        making.start()
        try:
            for number in range(3):
                backup.make(filled, tmp_path / f"{number}.zip")
        finally:
            stop.set()
            making.join()
    for number in range(3):
        other = tmp_path / f"home-{number}"
        backup.restore(tmp_path / f"{number}.zip", other)
        with Store(other) as store:
            assert store.count() == len(pngs(other)) >= 1


def test_a_backup_is_for_its_owner_only_and_writes_over_nothing(filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    backup.make(filled, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(DataError, match="is there already"):
        backup.make(filled, file)
    assert file.read_bytes() == before
    with pytest.raises(DataError, match="lies in the data folder"):
        backup.make(filled, filled / "backup.zip")
    with pytest.raises(DataError, match="there is no data folder"):
        backup.make(tmp_path / "nowhere", tmp_path / "new.zip")
    with pytest.raises(StorageError):
        backup.make(filled, tmp_path / "missing" / "backup.zip")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".part")) == []


def test_nothing_is_restored_over_anything(filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    backup.make(filled, file)
    with pytest.raises(DataError, match="is not empty"):
        backup.restore(file, filled)
    (tmp_path / "empty").mkdir()  # as a volume of a container is
    backup.restore(file, tmp_path / "empty")
    assert pngs(tmp_path / "empty") == pngs(filled)


def rewritten(file: Path, target: Path, change: Any = None, drop: str = "", spoil: str = "") -> Path:
    """A copy of a backup with another manifest, without a file, or with one damaged."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == backup.MANIFEST and change is not None:
                manifest = json.loads(data)
                change(manifest)
                data = json.dumps(manifest).encode()
            if spoil and spoil in info.filename:
                data = data[:-1] + bytes([data[-1] ^ 1])
            if not (drop and drop in info.filename):
                new.writestr(info.filename, data)
    return target


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"change": lambda m: m.update(format=2)}, "newer version"),
        ({"change": lambda m: m.update(revision="9999")}, "newer version"),
        ({"change": lambda m: m.pop("format")}, "no backup"),
        ({"change": lambda m: m.update(files=[])}, "no backup"),
        ({"change": lambda m: m["files"].update({"../out": next(iter(m["files"].values()))})}, "outside"),
        ({"change": lambda m: m["files"].update({"/etc/out": next(iter(m["files"].values()))})}, "outside"),
        ({"change": lambda m: m["files"].update({"a\\..\\b": next(iter(m["files"].values()))})}, "outside"),
        ({"change": lambda m: m["files"].update({"x": {"size": 1, "sha256": "", "mode": 0}})}, "damaged"),
        ({"change": lambda m: m["files"]["api_tokens.json"].update(size=10**18)}, "make room"),
        ({"change": lambda m: m["files"]["api_tokens.json"].update(size=3)}, "damaged"),
        ({"drop": ".png"}, "damaged"),
        ({"spoil": ".png"}, "damaged"),
        ({"drop": "manifest"}, "no backup"),
    ],
)
def test_what_is_damaged_or_newer_leaves_nothing_behind(
    filled: Path, tmp_path: Path, how: dict[str, Any], says: str
) -> None:
    file = tmp_path / "backup.zip"
    backup.make(filled, file)
    other = tmp_path / "other"
    with pytest.raises((DataError, StorageError), match=says) as refusal:
        backup.restore(rewritten(file, tmp_path / "changed.zip", **how), other)
    assert "\n" not in str(refusal.value)
    assert not other.exists() or list(other.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04" + b"x" * 100])
def test_what_is_no_backup_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    for file in (tmp_path / "file", tmp_path / "missing", tmp_path):
        with pytest.raises(DataError):
            backup.restore(file, tmp_path / "other")


def test_a_file_that_was_cut_off_is_said(filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    backup.make(filled, file)
    (tmp_path / "cut").write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged"):
        backup.restore(tmp_path / "cut", tmp_path / "other")


def test_the_command_line_does_both(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "backup.zip")
    assert cli.main(["backup", file, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["database"] is True
    assert cli.main(["backup", file]) == 2
    monkeypatch.setenv("SDXL_LORA_HOME", str(tmp_path / "other"))
    assert cli.main(["restore", file]) == 0
    assert capsys.readouterr().out.startswith(file)
    assert cli.main(["restore", file]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert io.BytesIO(Path(file).read_bytes()).read(2) == b"PK"
