"""A catalogue in its folder: named pictures, manifests, going on, and nothing twice."""

import csv
import io
import json
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora import files
from sdxl_lora.catalog import estimating, filling, manifest, packing, runs, tables
from sdxl_lora.catalog.filling import fill
from sdxl_lora.catalog.journal import digest
from sdxl_lora.catalog.planning import Settings
from sdxl_lora.catalog.runs import Run
from sdxl_lora.errors import Cancelled, DataError, InputError, NotFoundError, StorageError
from sdxl_lora.jobs.front_door import FrontDoor
from sdxl_lora.records import metadata

THREE = "sku,colour,note\nA-1,red,=cmd|' /C calc'!A0\nA-2,navy,x\n../A-3,green,y\n"


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def made(run: Run) -> dict[str, bytes]:
    return {one.name: (run.folder / one.file).read_bytes() for one in run.made}


def test_every_row_becomes_a_named_picture_with_its_line_in_both_manifests(
    begin: Callable[..., Run], door: FrontDoor
) -> None:
    run = begin(THREE, presets=("plain", "instagram"))
    seen = list(fill(run, door))
    assert (seen[-1].total, seen[-1].done, seen[-1].failed, seen[-1].over) == (3, 3, 0, True)
    found = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".catalog/")} == {
        *("A-1.png", "A-2.png", "A-3.png", "manifest.json", "manifest.csv"),
        *("plain/A-1.png", "plain/A-2.png", "plain/A-3.png"),
        *("instagram/A-1.jpg", "instagram/A-2.jpg", "instagram/A-3.jpg"),
    }
    pictures = json.loads((run.folder / manifest.JSON).read_text())["pictures"]
    for one, item in zip(pictures, run.plan.items, strict=True):
        data = (run.folder / one["file"]).read_bytes()
        record = door.studio.store.get(one["record"])
        assert data == record.path.read_bytes()
        assert one["sha256"] == digest(data)
        assert metadata.read(io.BytesIO(data)).request.prompt == one["prompt"] == item.request.prompt
        assert (one["seed"], one["alt"], one["verdict"]) == (item.request.seed, item.alt, "open")
        assert one["model_sha256"]
        assert one["scores"]["clip"]["value"] == record.card.score
        assert set(one["exports"]) == {"plain", "instagram"}
    rows = read_csv(run.folder / manifest.CSV)
    assert [row["sku"] for row in rows] == ["A-1", "A-2", "../A-3"]
    assert rows[0]["file_instagram"] == "instagram/A-1.jpg"
    assert not (run.folder / manifest.FAILED).exists()


def test_what_people_say_is_in_the_manifest(begin: Callable[..., Run], door: FrontDoor) -> None:
    run = begin(THREE)
    list(fill(run, door))
    for one, approved in zip(run.made, (True, False), strict=False):
        door.reviews.vote(door.studio.store.get(one.record), approved=approved)
    filling.write_manifests(run, door)
    assert [row["verdict"] for row in read_csv(run.folder / manifest.CSV)] == ["approved", "rejected", "open"]


def test_a_second_run_makes_nothing_and_a_deleted_file_comes_back_without_drawing(
    begin: Callable[..., Run], door: FrontDoor
) -> None:
    run = begin(THREE)
    list(fill(run, door))
    before, count = made(run), door.studio.store.count()
    (run.folder / "A-2.png").unlink()
    again = Run.open(run.folder)
    assert [item.name for item in again.open_items] == ["A-2"]
    assert list(fill(again, door))[-1].done == 3
    assert made(again) == before
    assert door.studio.store.count() == count
    door.studio.store.delete(again.made[0].record)
    (run.folder / "A-1.png").unlink()
    list(fill(Run.open(run.folder), door))  # now it has to be drawn
    with Image.open(run.folder / "A-1.png") as image:
        assert image.size == (64, 64)


def test_a_changed_table_makes_only_the_changed_rows(begin: Callable[..., Run], door: FrontDoor) -> None:
    run = begin(THREE)
    list(fill(run, door))
    before = made(run)
    text = THREE.replace("navy", "black").encode() + b"A-4,white,\n"
    changed = runs.change(run.folder, text, "products.csv", Settings.from_dict(run.info.settings))
    assert [item.name for item in changed.open_items] == ["A-2", "A-4"]
    list(fill(changed, door))
    after = made(changed)
    assert after["A-1"] == before["A-1"]
    assert after["A-2"] != before["A-2"]
    assert [one.sku for one in changed.made] == ["A-1", "A-2", "../A-3", "A-4"]


def test_a_shop_that_is_added_later_is_made_from_what_is_there(
    begin: Callable[..., Run], door: FrontDoor
) -> None:
    run = begin(THREE)
    list(fill(run, door))
    count = door.studio.store.count()
    settings = replace(Settings.from_dict(run.info.settings), presets=("plain",))
    changed = runs.change(run.folder, THREE.encode(), "products.csv", settings)
    assert len(changed.open_items) == 3
    list(fill(changed, door))
    assert (run.folder / "plain" / "A-3.png").is_file()
    assert door.studio.store.count() == count


def test_rows_that_fail_are_told_with_reasons_in_a_file_that_can_be_run_again(
    begin: Callable[..., Run], door: FrontDoor, tmp_path: Path
) -> None:
    run = begin("sku,model,note\nA,,=1+1\nB,/nowhere/model,=2+2\nA,,\n")
    assert list(fill(run, door))[-1].failed == 1
    rows = read_csv(run.folder / manifest.FAILED)
    assert [(row["sku"], row["note"]) for row in rows] == [("B", "'=2+2"), ("A", "")]
    assert "nowhere" in rows[0]["problem"]
    assert "too" in rows[1]["problem"]
    table = tables.read(run.folder / manifest.FAILED)
    assert table.rows[0].cells["note"] == "=2+2"
    fixed = (run.folder / manifest.FAILED).read_text(encoding="utf-8-sig").replace("/nowhere/model", "mini")
    again = runs.create(
        tmp_path / "again", fixed.encode(), "failed.csv", Settings.from_dict(run.info.settings)
    )
    assert not again.plan.problems
    assert list(fill(again, door))[-1].done == 2


def test_failed_rows_are_tried_again_when_the_run_goes_on(
    begin: Callable[..., Run], door: FrontDoor, tmp_path: Path
) -> None:
    weights = tmp_path / "late.safetensors"
    run = begin(f"sku,lora\nA,\nB,{weights}\n")
    assert list(fill(run, door))[-1].failed == 1
    again = Run.open(run.folder)
    assert [item.name for item in again.open_items] == ["B"]
    assert list(fill(again, door))[-1].failed == 1
    assert len(again.problems) == 1


def test_stopped_in_the_middle_it_goes_on_later_with_the_same_pictures(
    begin: Callable[..., Run], door: FrontDoor
) -> None:
    run = begin("sku\n" + "\n".join(f"S{n}" for n in range(8)) + "\n")
    stop = threading.Event()
    with pytest.raises(Cancelled):
        for now in fill(run, door, stop=stop):
            if now.done == 3:
                stop.set()
    rest = Run.open(run.folder)
    assert 3 <= len(rest.made) < 8
    assert len(json.loads((run.folder / manifest.JSON).read_text())["pictures"]) == len(rest.made)
    before = made(rest)
    list(fill(rest, door))
    after = made(rest)
    assert len(after) == 8
    assert all(after[name] == data for name, data in before.items())
    assert not rest.problems


def test_only_one_makes_a_catalogue_at_a_time(begin: Callable[..., Run], door: FrontDoor) -> None:
    run = begin(THREE)
    first = fill(run, door)
    next(first)
    with pytest.raises(DataError, match="being made already"):
        next(fill(Run.open(run.folder), door))
    first.close()
    assert list(fill(Run.open(run.folder), door))[-1].over


def test_a_full_disk_ends_the_run_in_one_line_and_it_goes_on_later(
    begin: Callable[..., Run], door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(THREE)
    real = files.write_atomically

    def full(path: Path, data: bytes) -> None:
        if path.name == "A-2.png":
            raise StorageError("cannot write A-2.png: the disk is full")
        real(path, data)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="disk is full"):
        patch.setattr(files, "write_atomically", full)
        list(fill(run, door))
    assert list(fill(Run.open(run.folder), door))[-1].done == 3
    assert door.studio.store.count() == 3


def test_a_folder_has_one_catalogue_and_says_when_it_has_none(
    begin: Callable[..., Run], tmp_path: Path
) -> None:
    run = begin(THREE)
    with pytest.raises(DataError, match="has a catalogue already"):
        begin(THREE)
    with pytest.raises(NotFoundError):
        Run.open(tmp_path / "elsewhere")
    (run.folder / runs.INSIDE / "plan.json").write_text("[]")
    with pytest.raises(InputError):
        Run.open(run.folder)
    (run.folder / runs.INSIDE / "run.json").write_text('{"id": 1}')
    with pytest.raises(DataError):
        runs.info(run.folder)


def test_a_journal_that_a_crash_cut_off_is_read_as_far_as_it_goes(
    begin: Callable[..., Run], door: FrontDoor
) -> None:
    run = begin(THREE)
    list(fill(run, door))
    path = run.folder / runs.INSIDE / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-40] + b"\n{}\n[]\nnull\n\xff")
    again = Run.open(run.folder)
    assert len(again.made) == 2
    assert list(fill(again, door))[-1].done == 3


def test_catalogues_are_found_newest_first(home: Path) -> None:
    for name in ("first", "second"):
        folder = runs.new_folder(f"../{name}.csv")
        assert folder.parent == runs.home()
        runs.create(folder, b"sku\nA\n", f"{name}.csv", Settings(template="jacket"))
    (runs.home() / "other").mkdir()
    assert [info.table for _, info in runs.all_runs()] == ["second.csv", "first.csv"]


def test_the_time_is_estimated_from_pictures_like_these(begin: Callable[..., Run], door: FrontDoor) -> None:
    run = begin("sku,steps\n" + "\n".join(f"S{n},2" for n in range(4)) + "\nX,4\n")
    store = door.studio.store
    assert estimating.estimate(store, run.plan.items).seconds is None
    assert "after the first" in estimating.estimate(store, run.plan.items).words()
    list(fill(run, door, most=2))
    drawn = [record.seconds for record in store.page(0, 10)]
    found = estimating.estimate(store, run.plan.items[:4])
    assert found.pictures == 4
    assert found.seconds is not None
    assert 4 * min(drawn) * 0.99 <= found.seconds <= 4 * max(drawn) * 1.01
    more = estimating.estimate(store, run.plan.items)
    assert more.seconds is not None
    assert more.seconds > found.seconds
    assert [estimating.duration(s) for s in (0.2, 60, 600, 12_000)] == [
        "1 second",
        "60 seconds",
        "10 minutes",
        "3 h 20 min",
    ]


def test_the_zip_comes_in_pieces_and_holds_everything(
    begin: Callable[..., Run], door: FrontDoor, tmp_path: Path
) -> None:
    run = begin(THREE, presets=("plain",))
    list(fill(run, door))
    names = packing.members(run.folder, run.made)
    pieces = list(packing.stream(run.folder, names))
    assert max(map(len, pieces)) < 1_000_000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == set(names) >= {"A-1.png", "plain/A-1.png", "manifest.json"}
        assert archive.read("A-1.png") == (run.folder / "A-1.png").read_bytes()
    packing.write(tmp_path / "all.zip", run.folder, names)
    assert (tmp_path / "all.zip").read_bytes() == b"".join(pieces)
    (run.folder / "A-2.png").unlink()
    with pytest.raises(StorageError):
        list(packing.stream(run.folder, names))
