"""What pictures are found by: words, brand, product number, seed and LoRAs apart from the rest, scores and embeddings.

`records.reconcile` fills them for old rows, and for rows that an earlier version adds later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds a column and three tables."""
    op.add_column("pictures", sa.Column("score", sa.Double, nullable=False, server_default="-2"))
    op.create_index("ix_pictures_score_id", "pictures", ["score", "id"])
    op.create_table(
        "picture_found_by",
        sa.Column("picture_id", sa.String, primary_key=True),
        sa.Column("words", sa.String, nullable=False),
        sa.Column("brand", sa.String, nullable=False),
        sa.Column("sku", sa.String, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_picture_found_by_brand", "picture_found_by", ["brand", "picture_id"])
    op.create_index("ix_picture_found_by_sku", "picture_found_by", ["sku", "picture_id"])
    op.create_table(
        "picture_loras",
        sa.Column("lora", sa.String, primary_key=True),
        sa.Column("picture_id", sa.String, primary_key=True),
    )
    op.create_table(
        "picture_embeddings",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("picture_id", sa.String, nullable=False),
        sa.Column("judge", sa.String, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("picture_id", "judge", name="uq_picture_embeddings_picture"),
    )
