"""A figure, what it stands beside, and the bound that it must keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class Of(Enum):
    """What a bound is held against."""

    RATIO = auto()
    VALUE = auto()


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so much, or at least."""

    limit: float
    of: Of
    at_least: bool = False

    def admits(self, number: float) -> bool:
        """Whether a number keeps it."""
        return number >= self.limit if self.at_least else number <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    value: float | None
    """None where it was not measured; `skipped` says why."""
    anchor: float | None
    anchor_name: str
    bound: Bound | None = None
    skipped: str = ""

    @property
    def ratio(self) -> float | None:
        """The value in units of its anchor; None where there is none, or it is nothing."""
        return self.value / self.anchor if self.value is not None and self.anchor else None

    @property
    def judged(self) -> float | None:
        """What the bound is held against."""
        return None if self.bound is None else self.ratio if self.bound.of is Of.RATIO else self.value


def find_faults(figures: Iterable[Figure]) -> list[str]:
    """A sentence for each figure that does not keep its bound, or should have been measured and was not."""
    return [fault for figure in figures if (fault := _find_fault(figure)) is not None]


def _find_fault(figure: Figure) -> str | None:
    if figure.bound is None or figure.skipped:
        return None
    if figure.judged is None:
        return f"{figure.name}: there is nothing to hold against its bound."
    if figure.bound.admits(figure.judged):
        return None
    side = "at least" if figure.bound.at_least else "at most"
    if figure.bound.of is Of.RATIO:
        return f"{figure.name}: {figure.judged:.2f} × {figure.anchor_name}, and {side} {figure.bound.limit:g} × are allowed."
    return f"{figure.name}: {figure.judged:g} {figure.unit}, and {side} {figure.bound.limit:g} {figure.unit} are allowed.".replace(
        "  ", " "
    )
