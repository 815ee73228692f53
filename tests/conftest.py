"""The real parts, started when the first test asks for them and stopped at the end; and a namespace of a test's own."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cluster.stage import Stage
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation

settings.register_profile("whole", deadline=None)
settings.register_profile("brief", deadline=None, max_examples=15)
settings.load_profile("brief" if "BRIEF" in os.environ else "whole")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A Kubernetes API server of our own."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def issued_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which the authorization server writes every secret in clear, for the test that looks for leaks."""
    return tmp_path_factory.mktemp("issued") / "issued.jsonl"


@pytest.fixture(scope="session")
def auth_server(tmp_path_factory: pytest.TempPathFactory, issued_file: Path) -> Iterator[AuthServer]:
    """An authorization server of our own."""
    with AuthServer(tmp_path_factory.mktemp("authorization-server"), issued_file=issued_file) as running:
        yield running


@pytest.fixture(scope="session")
def grantkeeper(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The chart, installed, with its processes running."""
    with Installation(control_plane, tmp_path_factory.mktemp("grantkeeper")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Make a namespace for one test; it goes afterwards, in its own time."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def stage(control_plane: ControlPlane, auth_server: AuthServer, grantkeeper: Installation, namespace: str) -> Stage:
    """A namespace with everything that a story needs."""
    if not grantkeeper.controller.is_alive:  # a test that failed may have left it ended, or stopped
        grantkeeper.controller.start()
    grantkeeper.controller.kill(signal.SIGCONT)
    return Stage(control_plane, auth_server, grantkeeper, namespace)
