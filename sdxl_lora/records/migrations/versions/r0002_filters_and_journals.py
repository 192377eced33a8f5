"""The model of a picture as a column, indexes for filters, journals of votes, and who has seen a comparison's names.

The columns are filled by `records.reconcile`, which does the same for rows that an earlier version adds later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds; drops only indexes that the new ones stand in for."""
    op.add_column("pictures", sa.Column("model", sa.String, nullable=False, server_default=""))
    for column in ("session", "favourite"):
        op.drop_index(f"ix_pictures_{column}", "pictures", if_exists=True)
        op.create_index(f"ix_pictures_{column}_id", "pictures", [column, "id"])
    op.create_index("ix_pictures_model_id", "pictures", ["model", "id"])
    op.create_index("ix_pictures_created_at", "pictures", ["created_at"])
    op.create_index("ix_votes_approved_picture_id", "votes", ["approved", "picture_id"])
    op.create_table(
        "comparison_viewers",
        sa.Column("comparison", sa.String, primary_key=True),
        sa.Column("voter", sa.String, primary_key=True),
    )
    op.create_table(
        "journals",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("entered", sa.BigInteger, nullable=False),
    )
