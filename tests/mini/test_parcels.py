"""Files of a build in parcels small enough to be carried, and back."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from sdxl_lora.errors import DataError
from sdxl_lora.mini import parcels


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, list[Path]]:
    root = tmp_path / "build"
    (root / "unet").mkdir(parents=True)
    (root / "unet" / "weights").write_bytes(np.random.default_rng(0).bytes(30_000))
    (root / "note.json").write_text("{}")
    (root / "left behind").write_text("x")
    return root, parcels.pack(root, ["unet", "note.json", "not there"], limit=15_000)


def carried(parts: list[Path], target: Path) -> Path:
    target.mkdir()
    for part in [*parts, parts[0].with_name(parcels.SUM)]:
        (target / part.name).write_bytes(part.read_bytes())
    return target


def test_what_was_packed_comes_out_elsewhere_and_nothing_else(
    packed: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    root, parts = packed
    there = carried(parts, tmp_path / "there")
    assert parcels.unpack(there)
    assert (there / "unet" / "weights").read_bytes() == (root / "unet" / "weights").read_bytes()
    assert (there / "note.json").read_text() == "{}"
    assert not (there / "left behind").exists()


def test_no_part_is_larger_than_the_limit(packed: tuple[Path, list[Path]]) -> None:
    assert len(packed[1]) > 2
    assert all(part.stat().st_size <= 15_000 for part in packed[1])


def test_packing_again_leaves_no_part_of_the_earlier_parcels(packed: tuple[Path, list[Path]]) -> None:
    root, _ = packed
    (part,) = parcels.pack(root, ["note.json"], limit=15_000)
    assert sorted(path.name for path in root.glob("parcel.*")) == [part.name, parcels.SUM]


@pytest.mark.parametrize("fault", ["missing", "damaged", "no sum"])
def test_parcels_that_are_not_whole_are_refused(
    packed: tuple[Path, list[Path]], tmp_path: Path, fault: str
) -> None:
    there = carried(packed[1], tmp_path / "there")
    if fault == "missing":
        (there / "parcel.001").unlink()
    elif fault == "damaged":
        (there / "parcel.001").write_bytes(b"x" + (there / "parcel.001").read_bytes()[1:])
    else:
        (there / parcels.SUM).unlink()
    with pytest.raises(DataError, match="not complete"):
        parcels.unpack(there)


def test_without_parcels_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert not parcels.unpack(tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("../outside", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)])
def test_what_points_out_of_the_build_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    root, buffer = tmp_path / "build", io.BytesIO()
    root.mkdir()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member, io.BytesIO())
    (root / "parcel.000").write_bytes(buffer.getvalue())
    (root / parcels.SUM).write_text(hashlib.sha256(buffer.getvalue()).hexdigest())
    with pytest.raises(DataError, match="no file of a build"):
        parcels.unpack(root)
    assert [path.name for path in tmp_path.iterdir()] == ["build"]
