"""Everyday life at random, on parts of its own: whatever people do and whatever befalls the processes, the invariants hold.

A failure prints the seed and every step. `EVERYDAY_SEED` throws the same dice again, `EVERYDAY_STEPS` takes more or fewer steps, and
`EVERYDAY_REPLAY` names a file with such a record, whose steps are taken again as they were, as far as they still apply.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random, SystemRandom

import pytest

from cluster.everyday import LONG, SHORT, ClientSecret, Connector, Grant, Life
from cluster.everyday_diary import Diary
from cluster.everyday_steps import STEPS
from cluster.stage import status
from cluster.witness import Witness
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation
from parts.waiting import wait_for

STEPS_IN_ALL = int(os.environ.get("EVERYDAY_STEPS", "220"))
STEPS_BETWEEN_SETTLINGS = (6, 14)
PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "team-a": {"calendar": ("alice", "carol"), "mail": ("bob",)},
    "team-b": {"calendar": ("alice", "dave")},
}
"""Connectors of each namespace, and their grants: the same names in both, so that a mix-up shows."""


@pytest.fixture
def diary(tmp_path: Path) -> Iterator[Diary]:
    """A life that has not begun."""
    issued = tmp_path / "issued.jsonl"
    with (
        ControlPlane(tmp_path / "control-plane") as control_plane,
        AuthServer(tmp_path / "authorization-server", issued_file=issued) as auth_server,
        Installation(control_plane, tmp_path / "grantkeeper", values={"logLevel": "DEBUG"}) as installation,
        control_plane.client() as api,
    ):
        control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}} for namespace in PLACES])
        witness = Witness(control_plane)
        witness.watch()
        connectors: list[Connector] = []
        grants: list[Grant] = []
        for namespace, offered in PLACES.items():
            for name, users in offered.items():
                connectors.append(Connector(namespace, name, LONG if name == "mail" else SHORT))
                grants += [Grant(namespace, user, connectors[-1]) for user in users]
        seed = int(os.environ.get("EVERYDAY_SEED") or SystemRandom().randrange(10**6))
        diary = Diary(Life(control_plane, auth_server, installation, witness, api, connectors, grants), issued, seed, tmp_path / "steps")
        for connector in connectors:
            diary.life.register(connector, connector.lifetime)
            diary.life.put_client_secret(connector, ClientSecret.RIGHT)
            diary.take("apply_connector", connector, 0)
        yield diary
        for part in list(diary.life.down):
            diary.life.raise_up(part)


@pytest.mark.timeout(1500)
def test_the_invariants_hold_whatever_happens(diary: Diary) -> None:
    try:
        if record := os.environ.get("EVERYDAY_REPLAY"):
            _replay(diary, Path(record))
        else:
            _live(diary)
        _check_that_a_restart_writes_nothing(diary)
    except BaseException:
        heading = f"EVERYDAY_SEED={diary.seed}; the steps, which a file of them at EVERYDAY_REPLAY takes again:"
        sys.stdout.write("\n".join([heading, *diary.lines, ""]))
        raise


def _live(diary: Diary) -> None:
    dice = Random(diary.seed)  # noqa: S311  # a test's dice
    steps_left = dice.randint(*STEPS_BETWEEN_SETTLINGS)
    for _ in range(STEPS_IN_ALL):
        possible = [(step, subject) for step in STEPS.values() for subject in step.subjects(diary.life)]
        weights = [step.weight / len(step.subjects(diary.life)) for step, _ in possible]
        [(step, subject)] = dice.choices(possible, weights)
        diary.take(step.name, subject, dice.randrange(10**6))
        steps_left -= 1
        if steps_left == 0:
            diary.settle()
            steps_left = dice.randint(*STEPS_BETWEEN_SETTLINGS)


def _replay(diary: Diary, record: Path) -> None:
    for line in record.read_text().splitlines():
        name, of, number = line.partition("#")[0].split()
        if name == "settle":
            diary.settle()
            continue
        for subject in STEPS[name].subjects(diary.life):
            if of in {"-", f"{getattr(subject, 'namespace', '')}/{getattr(subject, 'name', '')}"}:
                diary.take(name, subject, int(number))


def _check_that_a_restart_writes_nothing(diary: Diary) -> None:
    """With tokens that live long, everywhere."""
    life = diary.life
    for name in ("apply_connector", "mend_client_secret"):
        for connector in STEPS[name].subjects(life):
            diary.take(name, connector, 0)
    diary.settle()
    for connector in life.connectors:
        life.register(connector, LONG)

    def is_at_rest(grant: Grant) -> bool:
        """Whether its token lives long, or has run out where nobody refreshes it: that would have to be told, too."""
        expires = status(life.find(grant.path) or {}).get("expirationTime")
        left = (datetime.fromisoformat(expires) - datetime.now(UTC)).total_seconds() if expires is not None else None
        lives_long = left is not None and left > LONG / 2
        return lives_long or (not grant.is_refreshed and (left is None or left < 0))

    wait_for(lambda: all(map(is_at_rest, life.grants)), "tokens that live long", within=120)
    diary.settle()
    wait_for(lambda: all(diary.is_counted(connector) for connector in life.connectors if connector.is_sound), "grants to be counted")
    life.installation.controller.stop()
    calls = len(life.control_plane.calls())
    life.installation.controller.start()
    life.installation.controller.wait_until_keeping()
    diary.stay_quiet(since=calls)
