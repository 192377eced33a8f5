"""A disk that takes no writes: everything is there to be looked at and deleted, and room is used as soon as it is made.

A process may be forbidden to make any file grow (`RLIMIT_FSIZE`), which is what a full disk does to SQLite.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sdxl_lora.records import Database, Store

ROOT = Path(__file__).parents[2]
OLD_FOLDER = Path(__file__).with_name("folders") / "schema-4"
SHOES = "20261127-045114-550346-0cfa96"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")

SCRIPT = """
import resource, signal, sys
from pathlib import Path
from PIL import Image
from sdxl_lora.errors import StorageError
from sdxl_lora.records import Database, Store
from sdxl_lora.records.comparisons import ComparisonStore
from sdxl_lora.records.evaluations import EvaluationStore
from sdxl_lora.records.votes import Votes
from sdxl_lora.request import GenerationRequest

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
database = Database(Path(sys.argv[1]))
assert database.read_only.startswith("nothing new can be kept: database "), database.read_only
store, votes = Store(database), Votes(database)
assert store.count() == 4 and len(EvaluationStore(database).all()) == 1
assert len(ComparisonStore(database).all()) == 1 and votes.brands() == {"": 1, "Nørdic": 1}
[coat] = store.page(search="Mantel")
assert store.thumbnail(coat) == coat.path
for refused in (
    lambda: store.mark_favourite(coat.id),
    lambda: votes.cast(coat.id, approved=True, model="m", features=[1.0]),
    lambda: store.add(Image.new("RGB", (8, 8)), request=coat.request),
):
    try:
        refused()
    except StorageError as error:
        assert "\\n" not in str(error)
    else:
        raise AssertionError("it was kept")
store.delete(coat.id)
assert store.count() == 3 and not coat.path.exists()
resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
store.mark_favourite(store.page()[0].id)
assert not database.read_only and store.count() == 3
database.close()
"""


@pytest.mark.parametrize("state", ["of an earlier version", "of today", "left by a crash"])
def test_a_full_disk_can_be_looked_at_and_made_room_on(home: Path, state: str) -> None:
    shutil.copytree(OLD_FOLDER, home)
    if state != "of an earlier version":
        Store(home).close()
    if state == "left by a crash":  # the last rows are in the journal beside the file only
        script = "import os, sys; from pathlib import Path; from sdxl_lora.records import Store; "
        script += f"s = Store(Path(sys.argv[1])); s.mark_favourite({SHOES!r}, False); os._exit(9)"
        subprocess.run([sys.executable, "-c", script, str(home)], cwd=ROOT, check=False)
        assert (home / "records.sqlite-wal").exists()
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    with Database(home) as database:
        store = Store(database)
        assert (store.count(), store.notices, database.read_only) == (3, (), "")
        assert store.get(SHOES).favourite == (state != "left by a crash")
