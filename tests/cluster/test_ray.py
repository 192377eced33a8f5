"""A cluster that is asked for wrongly, or is not there: one line each. Real clusters are in `test_real_clusters`."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdxl_lora import cli
from sdxl_lora.cluster import ray
from sdxl_lora.cluster.ray import Pool, Room, room
from sdxl_lora.errors import InputError


def cluster(*machines: dict[str, float]) -> SimpleNamespace:
    """What Ray says of these machines, and of one that is gone."""
    alive = [{"Alive": True, "Resources": resources} for resources in machines]
    return SimpleNamespace(nodes=lambda: [*alive, {"Alive": False, "Resources": {"GPU": 8, "CPU": 99}}])


def test_each_gpu_is_one_worker_and_without_any_the_smallest_machine_is_the_measure() -> None:
    pool = Pool(address="auto")
    gpus = cluster({"CPU": 16, "GPU": 4}, {"CPU": 8}, {"CPU": 16, "GPU": 2})
    assert room(gpus, pool) == Room(workers=6, cpus=1, gpus=1)
    assert room(gpus, pool).threads is None
    assert room(cluster({"CPU": 4}, {"CPU": 9}, {"node": 1}), pool) == Room(workers=3, cpus=4, gpus=0)
    one_thread = Pool(address="auto", threads=1)
    assert room(cluster({"CPU": 4}, {"CPU": 9}), one_thread) == Room(workers=13, cpus=1, gpus=0)


def test_a_cluster_without_room_is_refused_unless_workers_are_still_to_come() -> None:
    with pytest.raises(InputError, match="no machine with a GPU or 1 processors"):
        room(cluster({"node": 1}), Pool(address="auto"))
    assert room(cluster(), Pool(address="auto", workers=4)).workers == 4


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers", "2"], "say which with --ray"),
        (["--ray", "auto", "--workers", "0"], "--workers 0: a number from 1"),
        (["--ray", "auto", "--threads", "-1"], "--threads -1: a number from 1"),
        (["--ray", "ray://10.0.0.5:10001"], "ray:// cannot stream"),
    ],
)
def test_a_wrong_flag_is_one_line(
    flags: list[str], said: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "a.csv"
    table.write_text("sku,product\nA,coat\n")
    assert cli.main(["catalog", str(table), "--template", "jacket", *flags]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (home / "catalogs").exists()


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install -r requirements-extra\.txt"):
        ray.library()
