"""How long a storm lasts and how hard it blows: `make chaos` takes at most ten minutes, `make chaos LONG=1` an hour and more.

`SEED=<anything>` repeats the draws of an earlier storm. What comes of them is another thing each time: three processes and two
servers keep no step with each other.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from chaos.weather import Odds

STORMY = Odds(drop=0.002, cut=0.002, delay=0.01, late=0.001)


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers and seconds."""

    seed: str
    grants: int = 300
    lifetime: int = 10
    """Of access tokens; longer while the machine cannot refresh all of them as often."""
    ready: tuple[float, float] = (0.75, 0.97)
    """Of the grants. Are fewer Ready, tokens live longer from then on; are more, they live shorter again, down to the above."""
    storm: float = 390
    """How long it blows, at most."""
    refreshes: int | None = None
    """With `kills`: it ends as soon as both are reached; None where only time ends it."""
    kills: int | None = None
    calls_a_kill: tuple[int, int] = (30, 100)
    """So many refreshes are between two kills: when nobody leads, nobody is killed, and a slow machine is not killed to death."""
    mishap_every: float = 9.0
    """Something else happens to a replica so often, on average."""
    outage_every: float = 45.0
    """And to the authorization server."""
    odds: Odds = STORMY
    leader_share: float = 0.6
    """Of the kills: how many are aimed at the leader; the others hit whomever they hit."""
    failpoint_share: float = 0.35
    """How many lives are told to die, or to stop, at a step of the protocol."""
    failpoints: tuple[str, ...] = ()
    """Only these, where some are named."""
    failpoint_within: int = 120
    """How often a step is gone by before the failpoint acts, at most."""
    frozen: tuple[float, float] = (17.0, 32.0)
    """How long a replica is stopped that is stopped past its lease."""
    settling: float = 100.0
    """How long all may take to be well when it is over."""


def read(environ: Mapping[str, str]) -> Settings:
    """The long form where LONG is set to anything, else the short one."""
    settings = Settings(environ.get("SEED") or secrets.token_hex(4))
    if environ.get("LONG"):
        settings = replace(
            settings,
            storm=3 * 3600.0,
            refreshes=100_000,
            kills=1_000,
            ready=(0.4, 0.7),
            calls_a_kill=(50, 145),
            leader_share=0.0,
            failpoint_share=0.25,
            mishap_every=25.0,
            outage_every=120.0,
        )
    return settings
