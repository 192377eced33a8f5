"""The revisions of the database, which Alembic runs; `records.upgrading` decides when.

`REVISIONS` names them in order so that opening an up-to-date database need not import Alembic; a test compares it
with `versions/`.
"""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
HEAD = REVISIONS[-1]
