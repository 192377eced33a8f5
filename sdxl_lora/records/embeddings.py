"""What a CLIP sees in each picture, as unit vectors; kept beside the records so that no file is read to search.

Vectors are float16: of a cosine that loses less than 0.001, and 25,000 of 512 numbers are 26 MB. Knows nothing of the
CLIP but a name that stands for its contents: vectors of two are not comparable, and both may be kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from sdxl_lora.records import upserts
from sdxl_lora.records.database import Database, Repository
from sdxl_lora.records.tables import EmbeddingRow, PictureRow

_KIND = np.dtype("<f2")


@dataclass(frozen=True)
class Kept:
    """Some vectors, in the order they were entered in."""

    last: int  # number of the newest row; 0 = there is none
    ids: tuple[str, ...]
    vectors: NDArray[np.float16]  # [pictures, D]


class Embeddings(Repository):
    """All vectors of one data folder. Methods raise `StorageError`."""

    def __init__(self, where: Database | Path) -> None:
        super().__init__(where)

    def keep(self, judge: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keeps the vector of every picture; those that are there stay as they are."""
        rows = [
            {"picture_id": identifier, "judge": judge, "vector": vector.astype(_KIND).tobytes()}
            for identifier, vector in vectors.items()
        ]
        with self.database.writing(repair=True) as session:
            upserts.insert_missing(session, EmbeddingRow, rows)

    def since(self, judge: str, number: int) -> Kept:
        """Every vector that was entered after the row of that number."""
        query = sa.select(EmbeddingRow.number, EmbeddingRow.picture_id, EmbeddingRow.vector)
        query = query.where(EmbeddingRow.judge == judge, EmbeddingRow.number > number)
        with self.database.reading() as session:
            rows = session.execute(query.order_by(EmbeddingRow.number)).all()
        longest = max((len(row.vector) for row in rows), default=0)
        rows = [row for row in rows if len(row.vector) == longest]
        vectors = np.frombuffer(b"".join(row.vector for row in rows), dtype=_KIND)
        last = rows[-1].number if rows else number
        return Kept(
            last, tuple(row.picture_id for row in rows), vectors.reshape(len(rows), -1 if rows else 0)
        )

    def missing(self, judge: str) -> list[str]:
        """Pictures without a vector, newest first."""
        known = sa.select(EmbeddingRow.picture_id).where(EmbeddingRow.judge == judge)
        query = sa.select(PictureRow.id).where(PictureRow.id.not_in(known)).order_by(PictureRow.id.desc())
        with self.database.reading() as session:
            return list(session.scalars(query))

    def count(self, judge: str) -> int:
        """How many pictures have one."""
        query = sa.select(sa.func.count()).select_from(EmbeddingRow).where(EmbeddingRow.judge == judge)
        with self.database.reading() as session:
            return session.scalar(query) or 0
