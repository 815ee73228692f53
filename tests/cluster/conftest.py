"""Everything in this directory runs on the real parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.accounts import Accounts, prepare
from parts.controlplane import ControlPlane

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here, so that `make test-fast` leaves it out."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def accounts(control_plane: ControlPlane) -> Iterator[Accounts]:
    """Accounts with and without rights, and what they try them on."""
    with prepare(control_plane) as prepared:
        yield prepared
