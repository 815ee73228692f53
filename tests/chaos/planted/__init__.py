"""Four mistakes that the storm must find: each a patch of the operator, with a storm that brings it to light, and the rules it breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chaos import rules
from chaos.losses import UNEXPLAINED
from chaos.settings import Settings
from chaos.weather import Odds

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Plant:
    """One mistake."""

    what: str
    storm: Settings
    breaks: frozenset[str]
    """Rules, one of which must be broken."""


_CALM = Settings(
    seed="planted",
    grants=30,
    storm=60,
    calls_a_kill=(15, 40),
    mishap_every=600,
    outage_every=600,
    odds=Odds(),
    leader_share=1,
    failpoint_share=1,
    failpoint_within=10,
    settling=60,
)
"""Nothing but kills of the leader, so that what breaks is broken by them; and a failpoint in each life."""

PLANTS: Mapping[str, Plant] = {
    "claim-skipped": Plant(
        "A refresh token is presented without a claim.",
        replace(_CALM, failpoints=("refresh.sent:kill",)),
        frozenset({rules.UNCLAIMED}),
    ),
    "commit-unfenced": Plant(
        "What came is written over whatever stands, without resourceVersion.",
        replace(_CALM, storm=200, calls_a_kill=(20, 40), failpoints=("commit.journaled:stop",), frozen=(75.0, 80.0)),
        frozenset({rules.TURNED_BACK}),
    ),
    "journal-not-replayed": Plant(
        "The next life of a Pod does not store what is in its journal.",
        replace(_CALM, failpoints=("commit.journaled:kill",)),
        frozenset({rules.AGAIN, UNEXPLAINED}),
    ),
    "status-of-the-past": Plant(
        "A status is written by who stood still meanwhile, whatever is there by then.",
        replace(_CALM, storm=120, calls_a_kill=(40, 60), failpoints=("report.writing:stop",)),
        frozenset({rules.TURNED_BACK}),
    ),
}
