"""What stood in every data folder before Alembic; earlier versions had some of these tables and lack the others."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables that are missing."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    for name, columns in _TABLES.items():
        if name not in there:
            op.create_table(name, *columns())
            if name == "pictures":
                op.create_index("ix_pictures_session", name, ["session"])
                op.create_index("ix_pictures_favourite", name, ["favourite"])


def _pictures() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("scores", sa.JSON, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("session", sa.String, nullable=False),
        sa.Column("favourite", sa.Boolean, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("search_text", sa.String, nullable=False),
    ]


def _evaluations() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("folders", sa.JSON, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
    ]


def _votes() -> list[sa.Column[Any]]:
    return [
        sa.Column("picture_id", sa.String, primary_key=True),
        sa.Column("brand", sa.String, primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("approved", sa.Boolean, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("features", sa.JSON, nullable=False),
    ]


def _comparisons() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("scores", sa.JSON, nullable=False),
    ]


def _comparison_cells() -> list[sa.Column[Any]]:
    return [
        sa.Column("comparison", sa.String, primary_key=True),
        sa.Column("column", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("file", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
    ]


def _comparison_votes() -> list[sa.Column[Any]]:
    return [
        sa.Column("comparison", sa.String, primary_key=True),
        sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("voter", sa.String, primary_key=True),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("choice", sa.Integer),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
    ]


_TABLES = {
    "pictures": _pictures,
    "evaluations": _evaluations,
    "votes": _votes,
    "comparisons": _comparisons,
    "comparison_cells": _comparison_cells,
    "comparison_votes": _comparison_votes,
}
