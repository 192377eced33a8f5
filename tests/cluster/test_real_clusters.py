"""Clusters of several nodes that Ray really starts here: a node that is killed, a server whose machines come and go."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdxl_lora.catalog import runs
from sdxl_lora.catalog.filling import fill
from sdxl_lora.catalog.planning import Settings
from sdxl_lora.cluster import door, fleet
from sdxl_lora.cluster.ray import Pool
from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.records import layout
from sdxl_lora.request import GenerationRequest

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of Ray's processes and sockets
]

STORE = 80 * 2**20  # bytes of each node's object store; the least that Ray takes
SMALL: dict[str, Any] = {"steps": 4, "width": 64, "height": 64, "model": "mini"}


@pytest.fixture
def cluster(home: Path) -> Iterator[Any]:
    """A head that draws nothing, and two nodes of one processor each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        made.add_node(num_cpus=1, object_store_memory=STORE)
    yield made
    made.shutdown()


def table(rows: int) -> bytes:
    return b"sku,product,colour\n" + b"".join(b"A-%03d,coat,navy\n" % n for n in range(rows))


def pixels(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            found[path.name] = image.tobytes()
    return found


def test_a_node_that_is_killed_loses_no_row_and_makes_none_twice_and_pixels_are_those_of_one_machine(
    cluster: Any, home: Path, tmp_path: Path, bundled: Path
) -> None:
    settings, rows = Settings(template="jacket", request=SMALL), 24
    run = runs.create(tmp_path / "out", table(rows), "a.csv", settings)
    killed = None
    with door.opened(home, Pool(address=cluster.address, threads=1)) as there:
        assert there.queue.at_a_time == 2 * 2
        for progress in fill(run, there):
            if progress.done >= 4 and killed is None:
                killed = next(iter(cluster.worker_nodes))
                cluster.remove_node(killed, allow_graceful=False)
        records = there.studio.store.page(limit=999)
        states = there.queue.counts()
    assert killed is not None
    assert run.problems == {}
    assert sorted(one.name for one in run.made) == [f"A-{n:03d}" for n in range(rows)]
    assert len(records) == rows
    assert len(list(layout.pictures_folder(home).glob("*/*.png"))) == rows
    assert states == {"done": rows}
    begun = shutil.ignore_patterns("journal.jsonl")
    shutil.copytree(tmp_path / "out" / runs.INSIDE, tmp_path / "alone" / runs.INSIDE, ignore=begun)
    alone = runs.Run.open(tmp_path / "alone")
    with open_front_door(tmp_path / "other home") as here:
        list(fill(alone, here, most=6))
    same = pixels(tmp_path / "alone")
    assert len(same) == 6
    assert {name: pixels(tmp_path / "out")[name] for name in same} == same


def test_a_server_gets_more_machines_while_jobs_wait_and_stops_them_within_a_step(
    cluster: Any, home: Path, bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "LOOKS_EVERY", 0.2)

    request = GenerationRequest(prompt="a navy coat", seed=1, **SMALL)
    pool = Pool(address=cluster.address, threads=1)
    with (
        fleet.elastic(pool) as elsewhere,
        open_front_door(home, serves=True, elsewhere=elsewhere) as there,
    ):
        first = there.queue.wait(there.queue.submit(JobSpec(request=request)).id, 300)
        assert first is not None
        assert first.state == "done", first.error
        [record] = [there.studio.store.get(i) for i in first.record_ids]
        long = replace(request, steps=150, count=64)
        asked = [there.queue.submit(JobSpec(request=replace(long, seed=n))) for n in range(2)]
        until = time.monotonic() + 200
        while time.monotonic() < until:
            if all(job is not None and job.record_ids for job in there.queue.look([a.id for a in asked])):
                break
            time.sleep(0.5)
        both = there.queue.look([one.id for one in asked])
        assert all(job.record_ids for job in both)  # each is drawn by a machine of its own
        for one in asked:
            there.queue.cancel(one.id)
        jobs = [there.queue.wait(one.id, 60) for one in asked]
        assert [job.state for job in jobs if job is not None] == ["cancelled", "cancelled"]
        after = there.queue.wait(there.queue.submit(JobSpec(request=replace(request, seed=2))).id, 60)
        assert after is not None
        assert after.state == "done"
    with open_front_door(home) as here:
        again = here.queue.wait(here.queue.submit(JobSpec(request=request)).id, 60)
        assert again is not None
        other = here.studio.store.get(again.record_ids[0])
    with Image.open(record.path) as one_way, Image.open(other.path) as another:
        assert one_way.tobytes() == another.tobytes()
