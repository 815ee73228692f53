"""The Pod of the example, without a node: its volume is kept by a stand-in, and each new token in it is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from demo.cluster import CORE, Cluster
from demo.consumer import Consumer
from demo.report import Introspection, Sight
from parts import PartFailed
from parts.authserver import AuthServer
from parts.mounted import MountedSecret


@dataclass(frozen=True, slots=True)
class Mount:
    """Where the Pod wants which Secret."""

    pod: str
    secret: str
    path: str


class Workload:
    """The volume, the consumer that reads it, and what the authorization server says of what the consumer found."""

    def __init__(self, mount: Mount, directory: Path, cluster: Cluster, auth_server: AuthServer) -> None:
        self.mount = mount
        self._cluster = cluster
        self._auth_server = auth_server
        self._volume = MountedSecret(directory)
        self._consumer = Consumer(directory)
        self.introspected: list[Introspection] = []

    @property
    def directory(self) -> Path:
        """The volume's directory."""
        return self._volume.directory

    @property
    def seen(self) -> list[Sight]:
        """Every token that the consumer has found, in order."""
        return self._consumer.sights

    def look(self) -> Sight | None:
        """Bring the volume up to date and have the consumer look; return a token that it had not seen before."""
        if secret := self._cluster.get(f"{CORE}/secrets/{self.mount.secret}"):
            self._volume.show(secret)
        if not (found := self._consumer.look()):
            return None
        sight, token = found
        self.introspected.append(self._ask_about(sight, token))
        return sight

    def _ask_about(self, sight: Sight, token: SecretStr) -> Introspection:
        said = self._auth_server.introspect(token.get_secret_value())
        expires_at = datetime.fromtimestamp(said["exp"], UTC) if "exp" in said else None
        return Introspection(time=datetime.now(UTC), token=sight.token, active=said["active"], expires_at=expires_at)


def mount_of(pod: dict[str, Any]) -> Mount:
    """Read from a Pod where it mounts its Secret."""
    secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    for mount in pod["spec"]["containers"][0]["volumeMounts"]:
        if mount["name"] in secrets:
            return Mount(pod["metadata"]["name"], secrets[mount["name"]], mount["mountPath"])
    raise PartFailed(f"the Pod {pod['metadata']['name']} of the example mounts no Secret.")
