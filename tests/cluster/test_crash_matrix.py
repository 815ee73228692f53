"""The cells of the crash matrix that matter most; `python -m chaos.matrix` plays all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos import picture
from chaos.certified import CertifiedServer
from chaos.endpoint import TokenServer
from chaos.families import Manner
from chaos.playing import Cell, Theatre
from chaos.predictions import Course, Row
from cluster.stage import Stage
from parts.controlplane import ControlPlane
from parts.launcher import Installation


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    """A scripted authorization server."""
    with TokenServer(tmp_path_factory.mktemp("scripted-server")) as running:
        yield running


@pytest.fixture
def theatre(control_plane: ControlPlane, grantkeeper: Installation, server: TokenServer, namespace: str) -> Iterator[Theatre]:
    """Where cells are played with the scripted server."""
    with control_plane.client() as client:
        yield Theatre(grantkeeper, server, namespace, (Manner.STRICT, Manner.FAMILY), client)


@pytest.fixture
def certified(stage: Stage) -> Iterator[Theatre]:
    """Where they are played with the certified one."""
    with stage.control_plane.client() as client:
        yield Theatre(stage.installation, CertifiedServer(stage), stage.namespace, (Manner.FAMILY,), client)


def test_killed_while_refreshing_at_a_server_that_refuses_a_spent_token(theatre: Theatre) -> None:
    play(theatre, [refreshing("refresh.claimed"), refreshing("refresh.sent"), refreshing("commit.stored")])


def test_killed_while_refreshing_at_a_server_that_ends_the_family_of_a_spent_token(theatre: Theatre) -> None:
    play(theatre, [refreshing(name, Manner.FAMILY) for name in ("refresh.answered", "refresh.sealed", "commit.journaled")])


def test_killed_while_refreshing_at_a_certified_server(certified: Theatre) -> None:
    play(certified, [refreshing(name, Manner.FAMILY, is_certified=True) for name in ("refresh.sent", "commit.journaled")])


def refreshing(failpoint: str, manner: Manner = Manner.STRICT, *, is_certified: bool = False) -> Cell:
    return Cell(Row(Course.REFRESH, failpoint), manner, is_certified)


def play(theatre: Theatre, cells: list[Cell]) -> None:
    """Play the cells one after another; all of them must be as predicted, also at the end."""
    theatre.build()
    all_played = [theatre.play(cell) for cell in cells]
    for played in all_played:
        theatre.check_again(played)
    assert [picture.complain(played) for played in all_played if not played.is_as_predicted] == []
