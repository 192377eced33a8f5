"""The trash, and boards."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds three tables."""
    op.create_table(
        "trash",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("deleted_at", sa.DateTime, nullable=False),
        sa.Column("session", sa.String, nullable=False),
        sa.Column("favourite", sa.Boolean, nullable=False),
    )
    op.create_table(
        "boards",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
    )
    op.create_table(
        "board_pictures",
        sa.Column("board", sa.String, primary_key=True),
        sa.Column("picture_id", sa.String, primary_key=True),
    )
    op.create_index("ix_board_pictures_picture_id", "board_pictures", ["picture_id"])
