"""Jobs that outlive the process: the queue, which pictures belong to a job, and which processes work."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds three tables."""
    op.create_table(
        "jobs",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("idempotency_key", sa.String),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("decided", sa.JSON),
        sa.Column("work", sa.String, nullable=False),
        sa.Column("pictures", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("pinned", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("delay", sa.Double, nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("error", sa.String),
        sa.Column("error_kind", sa.String, nullable=False),
        sa.Column("submitted_at", sa.Double, nullable=False),
        sa.Column("started", sa.Boolean, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("user", "idempotency_key", name="uq_jobs_user_idempotency_key"),
    )
    op.create_index("ix_jobs_line", "jobs", ["state", "priority", "round", "number"])
    op.create_index("ix_jobs_user_number", "jobs", ["user", "number"])
    op.create_index("ix_jobs_work", "jobs", ["work", "number"])
    op.create_table(
        "job_pictures",
        sa.Column("job", sa.String(32), primary_key=True),
        sa.Column("index", sa.Integer, primary_key=True),
        sa.Column("picture_id", sa.String, nullable=False),
        sa.Column("done", sa.Boolean, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("owner", sa.String, primary_key=True),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
