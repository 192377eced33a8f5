"""The round of the next job is read from the end of an index, however many jobs there were."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds two indexes."""
    op.create_index("ix_jobs_begun", "jobs", ["priority", "round", "started"])
    op.create_index("ix_jobs_rounds", "jobs", ["priority", "user", "round", "started", "state"])
