"""The database survives damage, locks and new versions."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sdxl_lora.errors import StorageError
from sdxl_lora.records import Store, layout, migrations, sqlite, upgrading
from sdxl_lora.records.comparisons import ComparisonStore
from sdxl_lora.records.evaluations import EvaluationStore
from sdxl_lora.records.tables import Base
from tests.records.shared import add, pngs

OLD_FOLDER = Path(__file__).with_name("folders") / "schema-4"


@pytest.mark.parametrize("damage", ["not a database", "torn pages", "emptied"])
def test_a_damaged_database_is_rebuilt_from_the_pictures(home: Path, damage: str) -> None:
    with Store(home) as store:
        records = [add(store, f"jacket {i}", seed=i) for i in range(40)]
    path = layout.database_path(home)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "not a database": b"this was a database once " * 100,
            "torn pages": whole[:4096] + b"\xff" * (len(whole) - 4096),
            "emptied": b"",
        }[damage]
    )
    with Store(home) as store:
        assert [r.id for r in store.page(limit=99)] == [r.id for r in reversed(records)]
        assert store.get(records[3].id).request == records[3].request
        aside = list(home.glob("records.damaged-*.sqlite"))
        assert len(aside) == (0 if damage == "emptied" else 1)
        assert any("entered again" in notice for notice in store.notices)
        assert any("was damaged" in notice for notice in store.notices) == (damage != "emptied")


def test_the_revisions_that_are_known_without_alembic_are_those_that_alembic_finds() -> None:
    folder = str(Path(migrations.__file__).parent)
    config = Config()
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    found = ScriptDirectory.from_config(config)
    assert found.get_heads() == [migrations.HEAD]
    assert tuple(script.revision for script in reversed(list(found.walk_revisions()))) == migrations.REVISIONS


def test_a_new_folder_has_the_same_tables_as_one_that_was_brought_up_to_date(tmp_path: Path) -> None:
    for name in ("new", "old"):
        engine = sqlite.open_file(tmp_path / name)
        if name == "old":
            with sqlite.for_writing(engine).begin() as connection:
                upgrading.run_revisions(connection)
        upgrading.bring_up_to_date(engine, tmp_path / name)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
            assert upgrading.revision(connection) == migrations.HEAD
        engine.dispose()


def test_opening_a_folder_of_today_needs_no_alembic(home: Path) -> None:
    Store(home).close()
    script = (
        "import sys; from pathlib import Path; from sdxl_lora.records import Store; "
        "Store(Path(sys.argv[1])).close(); sys.exit('alembic' in sys.modules)"
    )
    for folder in (home, home.with_name("new")):
        assert subprocess.run([sys.executable, "-c", script, str(folder)], check=False).returncode == 0


def test_before_an_upgrade_the_database_is_copied(home: Path) -> None:
    shutil.copytree(OLD_FOLDER, home)
    before = (home / "records.sqlite").read_bytes()
    Store(home).close()
    copy = home / f"records.before-{migrations.HEAD}.sqlite"
    with closing(sqlite3.connect(copy)) as made:
        assert made.execute("SELECT count(*) FROM votes").fetchone() == (2,)
        assert made.execute("PRAGMA user_version").fetchone() == (4,)
        columns = [column[1] for column in made.execute("PRAGMA table_info(pictures)")]
        assert "model" not in columns
    assert (home / "records.sqlite").read_bytes() != before
    modified = copy.stat().st_mtime_ns
    Store(home).close()
    assert copy.stat().st_mtime_ns == modified  # the second start has nothing left to do


@pytest.mark.parametrize("version", [1, 2, 3])
def test_folders_that_are_older_still_are_brought_up_to_date(home: Path, version: int) -> None:
    shutil.copytree(OLD_FOLDER, home)
    later = {1: ("evaluations", "votes"), 2: ("votes",), 3: ()}[version]
    with closing(sqlite3.connect(home / "records.sqlite", isolation_level=None)) as connection:
        for table in (*later, "comparisons", "comparison_cells", "comparison_votes"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute(f"PRAGMA user_version={version}")
    with Store(home) as store:
        assert store.count() == 4
    with EvaluationStore(home) as evaluations, ComparisonStore(home) as comparisons:
        assert len(evaluations.all()) == len(comparisons.all()) == 1  # from their files


def test_an_upgrade_that_fails_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(OLD_FOLDER, home)

    def half(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE ballots (id INTEGER)")
        connection.exec_driver_sql("no SQL at all")

    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "run_revisions", half)
        with pytest.raises(StorageError, match="syntax error"):
            Store(home)
    with Store(home) as store, store.database.reading() as session:
        assert "ballots" not in sa.inspect(session.connection()).get_table_names()
        assert store.count() == 4


def test_a_folder_of_a_newer_version_is_used_while_what_is_known_is_there(home: Path) -> None:
    with Store(home) as store:
        record = add(store)
    change(home, "ALTER TABLE pictures ADD COLUMN sku VARCHAR NOT NULL DEFAULT ''")
    change(home, "UPDATE alembic_version SET version_num = '9999'")
    with Store(home) as store:
        assert store.notices == (upgrading.NEWER,)
        assert store.get(record.id) == record
        assert add(store, "another").request.prompt == "another"


def test_a_folder_whose_newer_version_took_something_away_is_refused_in_one_line(home: Path) -> None:
    Store(home).close()
    change(home, "ALTER TABLE pictures DROP COLUMN seconds")
    change(home, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        StorageError, match=r"newer version of this program \(revision 9999.*no seconds.*update"
    ):
        Store(home)
    assert layout.database_path(home).exists()


def change(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(layout.database_path(home), isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("name", ["what?", "50%", "a#b", "c&d=e", "with space", "ü服", "%20", "?mode=ro"])
def test_a_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name / name
    shutil.copytree(OLD_FOLDER, home)
    with Store(home) as store:
        assert store.count() == 4
        add(store)
    with Store(home) as store:
        assert store.count() == 5
    assert {path.name for path in home.parent.iterdir()} == {name}


def test_a_lasting_lock_is_one_clear_line(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    with Store(home) as impatient:
        other = sqlite3.connect(layout.database_path(home), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another program kept it locked"):
            add(impatient)
        other.close()
    assert pngs(home) == []
