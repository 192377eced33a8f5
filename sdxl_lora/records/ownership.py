"""Which data folder a server's database belongs to.

Rows whose files are not in the folder are dropped, so that a database must never be opened with another folder than its
own. Knows nothing of what the tables mean.
"""

import secrets
from pathlib import Path

import sqlalchemy as sa

from sdxl_lora import files
from sdxl_lora.errors import StorageError
from sdxl_lora.records import postgresql, upserts
from sdxl_lora.records.tables import FactRow

_NAME = "folder"
_FILE = "database.id"


def check(engine: sa.Engine, home: Path) -> None:
    """Marks a new database and its folder with the same random name; every machine has to see the same folder.

    Raises `StorageError` where they do not belong together, `sa.exc.DBAPIError`.
    """
    path = home / _FILE
    with files.storage_errors(path, "read"):
        here = path.read_text(encoding="ascii", errors="replace").strip() if path.is_file() else ""
    with sa.orm.Session(postgresql.for_writing(engine)) as session, session.begin():
        known = session.scalar(sa.select(FactRow.value).where(FactRow.name == _NAME))
        if known is None:
            known = here or secrets.token_hex(16)
            upserts.insert_missing(session, FactRow, [{"name": _NAME, "value": known}])
        elif known != here:
            raise StorageError(
                f"the database of DATABASE_URL belongs to another data folder than {home}; set SDXL_LORA_HOME to that"
                " folder, which all machines have to share, or use an empty database"
            )
        if not here:
            with files.storage_errors(path):
                home.mkdir(parents=True, exist_ok=True)
            files.write_atomically(path, f"{known}\n".encode())
