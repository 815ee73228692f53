"""The steps of everyday life, an open list: a function that does something and tells the model what may have come of it.

To add one, write a function with `@step` in one of the modules beside this one: it is told of whom it can be done now, does it, and
tells the model. What it does to whom is drawn by dice of its own, so that one number repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from cluster.everyday import Connector, Grant, Life

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """Something that can happen. `subjects` are those that it can happen to now."""

    name: str
    weight: int
    subjects: Callable[[Life], list[Any]]
    take: Callable[[Life, Any, Random], None]


STEPS: dict[str, Step] = {}


def step(subjects: Callable[[Life], list[Any]], *, weight: int = 2) -> Callable[[Callable[[Life, Any, Random], None]], Any]:
    """Add a step to the list, under its function's name; the heavier, the more often it is taken."""

    def add(take: Callable[[Life, Any, Random], None]) -> Callable[[Life, Any, Random], None]:
        STEPS[take.__name__] = Step(take.__name__, weight, subjects, take)
        return take

    return add


def grants(when: Callable[[Life, Grant], bool]) -> Callable[[Life], list[Grant]]:
    """The grants of which this holds."""
    return lambda life: [grant for grant in life.grants if when(life, grant)]


def standing(when: Callable[[Life, Grant], bool] = lambda _life, _grant: True) -> Callable[[Life], list[Grant]]:
    """The grants that there are, and of which this holds."""
    return grants(lambda life, grant: grant.spec is not None and when(life, grant))


def connectors(when: Callable[[Connector], bool]) -> Callable[[Life], list[Connector]]:
    """The connectors of which this holds."""
    return lambda life: [connector for connector in life.connectors if when(connector)]


def whole(when: Callable[[Life], bool]) -> Callable[[Life], list[None]]:
    """No one in particular."""
    return lambda life: [None] if when(life) else []


def is_up(life: Life, *parts: str) -> bool:
    """Whether none of these is down."""
    return life.down.isdisjoint(parts or ("controller", "server"))
