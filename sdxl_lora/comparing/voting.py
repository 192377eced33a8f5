"""Which is better, without names: ballots in an order of their own, and wins with their uncertainty.

On one ballot are the pictures of one row; the voter names the best one, or says that none is. The order
depends on comparison, row and voter, so that it is the same after a reload and different for the next person.
Knows nothing of where votes are kept.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sdxl_lora.evaluation.statistics import wilson_ci95


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one column did."""

    column: int
    wins: int
    ties: int  # ballots on which no picture was better
    ballots: int  # it stood on
    share: float | None  # wins / ballots; None before the first vote
    ci95: tuple[float, float] | None  # Wilson; takes votes as independent
    chance: float | None  # share of somebody who draws lots


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """One vote, as far as counting needs it."""

    columns: tuple[int, ...]  # in the order shown
    choice: int | None  # the column; None = none is better


def ballot(comparison: str, row: int, voter: str, columns: Sequence[int]) -> list[int]:
    """The columns in the order this voter sees them on this row."""
    seed = hashlib.sha256(f"{comparison}|{row}|{voter}".encode()).digest()
    order = list(columns)
    random.Random(seed).shuffle(order)
    return order


def rows_in_turn(comparison: str, voter: str, rows: Sequence[int]) -> list[int]:
    """The rows in the order this voter gets them."""
    return ballot(comparison, -1, voter, rows)


def standings(columns: int, ballots: Sequence[Ballot]) -> list[Standing]:
    """One per column, in column order.

    A tie counts as a ballot nobody won: shares add up to less than 1 then.
    """
    found = []
    for column in range(columns):
        stood = [b for b in ballots if column in b.columns]
        wins = sum(b.choice == column for b in stood)
        found.append(
            Standing(
                column=column,
                wins=wins,
                ties=sum(b.choice is None for b in stood),
                ballots=len(stood),
                share=wins / len(stood) if stood else None,
                ci95=wilson_ci95(wins, len(stood)) if stood else None,
                chance=sum(1 / len(b.columns) for b in stood) / len(stood) if stood else None,
            )
        )
    return found
