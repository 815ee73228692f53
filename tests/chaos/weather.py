"""What befalls a token request on its way: drawn by chance, from a seed. No I/O, no clock."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Deed(StrEnum):
    """What happens to one request."""

    NOTHING = "nothing"
    DROP = "drop"
    """The connection is reset before any work is done."""
    CUT = "cut"
    """It is reset when the work is done, and nothing has been answered."""
    TEAR = "tear"
    """It is reset in the middle of the answer."""
    DELAY = "delay"
    """The work is done, and the answer waits."""


class Befallen(NamedTuple):
    """What happens to one request; `seconds` of a delay."""

    deed: Deed
    seconds: float = 0.0


PATIENCE = 10.0
"""Seconds that an answer is awaited (T_http)."""


@dataclass(frozen=True, slots=True)
class Odds:
    """How often each thing happens, of one."""

    drop: float = 0.0
    cut: float = 0.0
    delay: float = 0.0
    """By less than is waited for."""
    late: float = 0.0
    """By more."""


@dataclass(slots=True)
class Weather:
    """Draws. Without odds nothing ever happens."""

    odds: Odds = field(default_factory=Odds)
    seed: str = ""
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  # a storm is to be repeatable, not secret

    def draw(self) -> Befallen:
        """What happens to the next request."""
        odds, drawn = self.odds, self.chance.random()
        for probability, deed in ((odds.drop, Deed.DROP), (odds.cut / 2, Deed.CUT), (odds.cut / 2, Deed.TEAR)):
            if drawn < probability:
                return Befallen(deed)
            drawn -= probability
        if drawn < odds.delay:
            return Befallen(Deed.DELAY, self.chance.uniform(0.2, 3.0))
        if drawn - odds.delay < odds.late:
            return Befallen(Deed.DELAY, PATIENCE + self.chance.uniform(1.0, 4.0))
        return Befallen(Deed.NOTHING)
