"""Brings a database to the tables of this program: made at once if it is empty, by Alembic if it is older.

Alembic is imported only where there is something to do. Before it does it, the database is copied to
`records.before-<revision>.sqlite`. A database of a newer program is used as it is while every table and column that
this one knows is there, which `records.tables` promises.
"""

import logging
from pathlib import Path

import sqlalchemy as sa

from sdxl_lora.errors import StorageError
from sdxl_lora.records import migrations, postgresql, sqlite
from sdxl_lora.records.tables import Base

logger = logging.getLogger(__name__)

_VERSION = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
NEWER = "this data folder was used by a newer version of this program; what is new in it is not shown"


def bring_up_to_date(engine: sa.Engine, path: Path | None) -> tuple[str, ...]:
    """Makes or changes the tables, one process at a time; returns what the user should be told.

    Args:
        path: the file, which is copied before it is changed; None: a copy in memory, or a server, which has its own.

    Raises `StorageError` for a database that this program cannot use, `sa.exc.DBAPIError`, `sqlite3.Error`.
    """
    with engine.connect() as connection:
        if revision(connection) == migrations.HEAD:
            return ()
    backend = postgresql if engine.dialect.name == "postgresql" else sqlite
    with backend.for_writing(engine).begin() as connection:
        now = revision(connection)  # another process may have been faster
        if now == migrations.HEAD:
            return ()
        if now is None and not sa.inspect(connection).get_table_names():
            Base.metadata.create_all(connection)
            _VERSION.create(connection)
            connection.execute(sa.insert(_VERSION).values(version_num=migrations.HEAD))
            if backend is sqlite:
                sqlite.allow_versions_before_alembic(connection)
            return ()
        if now is not None and now not in migrations.REVISIONS:
            _refuse_what_lacks_something(connection, now)
            return (NEWER,)
        if path is not None:
            backup = path.with_name(f"{path.stem}.before-{migrations.HEAD}{path.suffix}")
            sqlite.back_up(path, backup)
            logger.info("database %s is brought to revision %s; copied to %s", path, migrations.HEAD, backup)
        run_revisions(connection)
        return ()


def revision(connection: sa.Connection) -> str | None:
    """The revision a database is at; None where Alembic was never there."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(sa.select(_VERSION.c.version_num))


def run_revisions(connection: sa.Connection, target: str = migrations.HEAD) -> None:
    """Every revision up to `target` that the database has not seen, in the transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    folder = str(Path(migrations.__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))  # a % begins a reference there
    config.set_main_option("path_separator", "os")
    command.upgrade(config, target)


def _refuse_what_lacks_something(connection: sa.Connection, now: str) -> None:
    found = sa.inspect(connection)
    tables = set(found.get_table_names())
    for table in Base.metadata.sorted_tables:
        columns = (
            {column["name"] for column in found.get_columns(table.name)} if table.name in tables else set()
        )
        missing = [column.name for column in table.columns if column.name not in columns]
        if missing:
            raise StorageError(
                f"the data folder belongs to a newer version of this program (revision {now}, known"
                f" {migrations.HEAD}; {table.name} has no {missing[0]}); update, or set SDXL_LORA_HOME to another"
                " folder"
            )
