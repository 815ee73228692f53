"""Everything that has to run before the demo can begin, started in order and stopped in the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo import ending
from demo.settings import Settings
from parts import PartFailed, authserver, binaries, toolchains
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation
from parts.processes import is_free
from parts.progress import step


@dataclass(frozen=True, slots=True)
class Stage:
    """The real parts, running."""

    control_plane: ControlPlane
    auth_server: AuthServer
    grantkeeper: Installation
    directory: Path
    """Where they keep what they need; readable by nobody else, gone at the end."""

    def require_life(self) -> None:
        """Fail with the end of its log when a process of the chart is gone."""
        for container in (self.grantkeeper.controller, self.grantkeeper.consent):
            if not container.is_alive:
                end = "\n".join(container.log.read_text(errors="replace").splitlines()[-15:])
                raise PartFailed(f"{container.name} ended; its log ends:\n{end}")


def require_ports(settings: Settings) -> None:
    """Fail in a sentence that says what to do when a port is taken."""
    for name, port in (("AUTH_PORT", settings.auth_port), ("CONSENT_PORT", settings.consent_port)):
        if not is_free(port):
            raise PartFailed(f"port {port} of this machine is taken; choose another one: make demo {name}={port + 1}")


@contextmanager
def open_stage(settings: Settings, directory: Path) -> Iterator[Stage]:
    """Fetch and build what is missing, start everything, and stop it when the block ends, however it ends."""
    binaries.obtain()
    toolchains.node()
    authserver.installed()
    running = ExitStack()
    try:
        with step("starting Kubernetes") as starting:
            control_plane = running.enter_context(ControlPlane(directory / "kubernetes"))
            starting.say(_version(control_plane))
        with step("starting the authorization server") as starting:
            auth_server = running.enter_context(AuthServer(directory / "server", port=settings.auth_port, lifetime=settings.lifetime))
            starting.say(auth_server.issuer)
        grantkeeper = running.enter_context(Installation(control_plane, directory / "grantkeeper", port=settings.consent_port))
        yield Stage(control_plane, auth_server, grantkeeper, directory)
    finally:
        ending.be_deaf()
        with step("stopping everything"):
            running.close()


def _version(control_plane: ControlPlane) -> str:
    with control_plane.client() as client:
        return str(client.get("/version").raise_for_status().json()["gitVersion"])
