"""Everything in this directory runs on the real parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.stage import Stage
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here, so that `make test-fast` leaves it out."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture
def stage(control_plane: ControlPlane, auth_server: AuthServer, grantkeeper: Installation, namespace: str) -> Stage:
    """A namespace with everything that a story needs."""
    return Stage(control_plane, auth_server, grantkeeper, namespace)
