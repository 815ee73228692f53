"""The real parts of a storm: Kubernetes, the chart's controllers with a way to the API server each, and a scripted authorization server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.endpoint import TokenServer
from grantkeeper.adapters.login import Login
from parts.controlplane import ControlPlane
from parts.launcher import Installation
from parts.progress import step

NAMESPACE, CONNECTOR = "chaos", "strict"
REPLICAS = 3
A_SECOND = 500
"""Token requests that the connector allows: more than are ever due."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs before the controllers do."""

    control_plane: ControlPlane
    server: TokenServer

    @property
    def login(self) -> Login:
        """The administrator's."""
        return Login.find(Path("/nonexistent"), {"KUBECONFIG": str(self.control_plane.kubeconfig)})

    def build(self) -> None:
        """A namespace with a connector whose server ends a family for a spent refresh token."""
        spec = {
            "endpoints": {name: f"{self.server.url}/{path}" for name, path in (("authorization", "authorize"), ("token", "token"))},
            "caBundle": self.server.ca_bundle,
            "clientID": "chaos",
            "clientAuthentication": "None",
            "scopes": ["calendar.read"],
            "consent": {"link": "Status"},
            "refresh": {"rotation": "Strict"},
            "limits": {"requestsPerSecond": A_SECOND},
        }
        self.control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
        self.control_plane.apply([_manifest("OAuthConnector", CONNECTOR, spec)])

    def add_grants(self, number: int) -> None:
        """Grants that each deliver to a Secret."""
        self.control_plane.apply(
            _manifest(
                "UserGrant",
                grant_name(index),
                {
                    "connectorRef": {"name": CONNECTOR},
                    "user": f"{grant_name(index)}@example.com",
                    "secrets": [{"name": f"{grant_name(index)}-token"}],
                },
            )
            for index in range(number)
        )


def grant_name(index: int) -> str:
    """The name of a grant."""
    return f"person-{index:03}"


def _manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@contextmanager
def open_stage(directory: Path) -> Iterator[Stage]:
    """Start what the controllers need, and end it with the block."""
    os.environ.setdefault("GOGC", "400")  # etcd and the API server collect less often: memory is there, and CPU is what is scarce
    with ExitStack() as running:
        with step("starting Kubernetes"):
            control_plane = running.enter_context(ControlPlane(directory / "kubernetes", audited=False))
        yield Stage(control_plane, running.enter_context(TokenServer(directory / "server")))


@contextmanager
def installed(stage: Stage, directory: Path, ways: Sequence[int]) -> Iterator[Installation]:
    """The chart, and its controllers on these ways to the API server."""
    directory.mkdir()
    values = {"controller": {"replicas": REPLICAS}}
    with Installation(stage.control_plane, directory, values=values, ways=ways) as installation:
        installation.consent.stop()  # people are played by the storm
        yield installation
