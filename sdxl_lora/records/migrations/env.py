"""What Alembic runs around the revisions: on the connection, and inside the transaction, of `records.upgrading`."""

from alembic import context

from sdxl_lora.records.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
