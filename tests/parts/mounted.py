"""A stand-in for kubelet's Secret volume: the same files, exchanged in the same way, without a kubelet.

A Secret's keys are files in a directory named for the time, `..data` points to that directory, and each key is a link through
`..data`. A change makes a new directory and moves `..data` over in one rename, so a reader sees the old Secret or the new one.
What the stand-in does not show is how long kubelet takes to notice: up to a minute and a half.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from parts.controlplane import ControlPlane

DATA = "..data"


class MountedSecret:
    """A directory that stands in for the volume of one Secret."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._shown: dict[str, bytes] | None = None

    def show(self, secret: Mapping[str, Any]) -> bool:
        """Bring the files to what the Secret holds; return whether they changed."""
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        if data == self._shown:
            return False
        before = self._current()
        written = self._write(data)
        self._point_to(written)
        self._link(data)
        if before:
            shutil.rmtree(before)
        self._shown = data
        return True

    def _current(self) -> Path | None:
        link = self.directory / DATA
        return link.resolve() if link.is_symlink() else None

    def _write(self, data: Mapping[str, bytes]) -> Path:
        stamp = datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
        written = Path(tempfile.mkdtemp(prefix=stamp, dir=self.directory))
        written.chmod(0o755)
        for key, value in data.items():
            (written / key).write_bytes(value)
        return written

    def _point_to(self, written: Path) -> None:
        new = self.directory / "..data_tmp"
        new.symlink_to(written.name)
        new.replace(self.directory / DATA)

    def _link(self, data: Mapping[str, bytes]) -> None:
        links = {path.name: path for path in self.directory.iterdir() if not path.name.startswith("..")}
        for gone in links.keys() - data.keys():
            links[gone].unlink()
        for new in data.keys() - links.keys():
            (self.directory / new).symlink_to(Path(DATA) / new)


def follow(control_plane: ControlPlane, namespace: str, name: str, directory: Path, stopped: threading.Event) -> None:
    """Keep `directory` as the volume of this Secret would be, looking twice a second, until somebody sets `stopped`."""
    mounted = MountedSecret(directory)
    with control_plane.client() as client:
        while not stopped.wait(0.5):
            answer = client.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            if answer.is_success:  # a Secret that is gone leaves its files, as with kubelet
                mounted.show(answer.json())
