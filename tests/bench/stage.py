"""The real parts that the bench needs: Kubernetes, the chart's controller, and a token endpoint that costs next to nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.anchor import NAMESPACE as ANCHORS
from bench.endpoint import TESTS, TokenEndpoint
from grantkeeper.adapters.login import Login
from parts import PartFailed
from parts.controlplane import ControlPlane
from parts.launcher import Container, Installation
from parts.processes import Child
from parts.progress import step

SERVERS = ("kube-apiserver", "etcd")
"""What the control plane is priced by."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs. The controller is stopped until a measurement starts it."""

    control_plane: ControlPlane
    grantkeeper: Installation
    endpoint: TokenEndpoint
    directory: Path

    @property
    def controller(self) -> Container:
        """The process that is measured."""
        return self.grantkeeper.controller

    @property
    def server_pids(self) -> list[int]:
        """The processes of `SERVERS`."""
        return [self.control_plane.pid_of(name) for name in SERVERS]

    @property
    def login(self) -> Login:
        """The administrator's."""
        return Login.find(Path("/nonexistent"), {"KUBECONFIG": str(self.control_plane.kubeconfig)})

    @property
    def account(self) -> str:
        """The controller's ServiceAccount, as the audit log's `account`."""
        return f"{self.grantkeeper.namespace}/{self.controller.pod['spec']['serviceAccountName']}"

    def anchor(self, *arguments: str, within: float) -> dict[str, Any]:
        """Run an anchor to its end, and return its report. It blocks, as nothing else shall run beside it."""
        report = self.directory / "anchor.json"
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "KUBECONFIG": str(self.control_plane.kubeconfig)}
        command = [sys.executable, "-m", "bench.anchor", arguments[0], str(report), *arguments[1:]]
        child = Child.start("the anchor", command, log=self.directory / "anchor.log", environment=environment)
        if child.wait(within):
            raise PartFailed(f"the anchor failed; its log ends:\n{child.last_lines()}")
        found: dict[str, Any] = json.loads(report.read_text())
        report.unlink()
        return found


@contextmanager
def open_stage(directory: Path) -> Iterator[Stage]:
    """Start everything, and end it with the block."""
    with ExitStack() as running:
        with step("starting Kubernetes"):
            control_plane = running.enter_context(ControlPlane(directory / "kubernetes"))
        endpoint = running.enter_context(TokenEndpoint(directory / "endpoint"))
        grantkeeper = running.enter_context(Installation(control_plane, directory / "grantkeeper"))
        grantkeeper.consent.stop()  # it has no part in this
        grantkeeper.controller.stop()
        control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ANCHORS}}])
        yield Stage(control_plane, grantkeeper, endpoint, directory)
