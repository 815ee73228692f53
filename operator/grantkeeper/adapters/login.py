"""Who we are to the Kubernetes API: a Pod's ServiceAccount, or outside a cluster the current context of a kubeconfig.

Whoever needs it reads it anew, for kubelet replaces a token long before it expires. Of kubeconfigs the plain ways are understood:
a token, a client certificate, an authority. What would run a program or trust any certificate is refused, with what to do instead.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import SecretStr

from grantkeeper.errors import SettingsError

_NOT_UNDERSTOOD = {
    "cluster": ("insecure-skip-tls-verify", "proxy-url", "tls-server-name"),
    "user": ("exec", "auth-provider", "username"),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the API server is, how it proves itself, and how we do. Certificates and keys are PEM."""

    server: str
    ca_data: str | None = None
    token: SecretStr | None = None
    certificate_data: str | None = None
    private_key_data: str | None = field(default=None, repr=False)

    def trust(self) -> ssl.SSLContext:
        """TLS for this server: verified by its authority, or the system's; with our certificate where there is one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.ca_data is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(cadata=self.ca_data)
            if self.certificate_data and self.private_key_data:
                # Python takes these from a file only; it is readable by us alone, and gone at once.
                with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                    file.write(f"{self.certificate_data}\n{self.private_key_data}")
                    file.flush()
                    context.load_cert_chain(file.name)
        except (ssl.SSLError, ValueError):
            raise SettingsError(f"The certificates for {self.server} cannot be read: they must be PEM.") from None
        return context


@dataclass(frozen=True, slots=True)
class Login:
    """Where the credentials are; `read` gives them as they are now."""

    _server: str | None
    _directory: Path
    _kubeconfigs: Sequence[Path]

    @classmethod
    def find(cls, service_account_directory: Path, environ: Mapping[str, str] = os.environ) -> Self:
        """In a Pod, where Kubernetes names its API server, the ServiceAccount; elsewhere KUBECONFIG or ~/.kube/config."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        server = (f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}") if host else None
        paths = [part for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part] or ["~/.kube/config"]
        return cls(server, service_account_directory, tuple(Path(path).expanduser() for path in paths))

    def read(self) -> Credentials:
        """Read the files as they are now; SettingsError with a sentence where they will not do."""
        return _read_kubeconfigs(self._kubeconfigs) if self._server is None else _read_mount(self._server, self._directory)


def _read_mount(server: str, directory: Path) -> Credentials:
    try:
        token = (directory / "token").read_text().strip()
        return Credentials(server, ca_data=(directory / "ca.crt").read_text(), token=SecretStr(token))
    except (OSError, ValueError):
        raise SettingsError(
            f"{directory} holds no token and ca.crt that can be read: mount the Pod's ServiceAccount token, "
            "or let GRANTKEEPER_SERVICE_ACCOUNT_DIRECTORY say where it is."
        ) from None


def _read_kubeconfigs(paths: Sequence[Path]) -> Credentials:
    looked = " or ".join(map(str, paths))
    files = [(path.parent, _load(path)) for path in paths if path.exists()]
    current = next((name for _, content in files if (name := content.get("current-context"))), None)
    if current is None:
        raise SettingsError(f"This is no Pod, and no current context is in {looked}: let KUBECONFIG name a kubeconfig that has one.")
    context, _ = _entry(files, "context", current)
    cluster, beside_cluster = _entry(files, "cluster", context.get("cluster"))
    user, beside_user = _entry(files, "user", context.get("user"))
    server = cluster.get("server")
    if not isinstance(server, str):
        raise SettingsError(f"The kubeconfig's cluster {context['cluster']!r} names no server.")
    token = user.get("token") or _file(user, "tokenFile", beside_user)
    return Credentials(
        server.rstrip("/"),
        ca_data=_pem(cluster, "certificate-authority", beside_cluster),
        token=SecretStr(str(token).strip()) if token else None,
        certificate_data=_pem(user, "client-certificate", beside_user),
        private_key_data=_pem(user, "client-key", beside_user),
    )


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        content = None
    if not isinstance(content, Mapping):
        raise SettingsError(f"{path} cannot be read as a kubeconfig.")
    return content


def _entry(files: Sequence[tuple[Path, Mapping[str, Any]]], kind: str, name: object) -> tuple[Mapping[str, Any], Path]:
    """The first entry of that name, as kubectl merges kubeconfigs, and the directory that its relative paths start from."""
    for beside, content in files:
        for entry in content.get(f"{kind}s") or ():
            if isinstance(entry, Mapping) and entry.get("name") == name and isinstance(held := entry.get(kind), Mapping):
                for member in _NOT_UNDERSTOOD.get(kind, ()):
                    if held.get(member):
                        raise SettingsError(
                            f"The kubeconfig's {kind} {name!r} has {member!r}, which is not understood here: "
                            "use a token (`kubectl create token` makes one) or a client certificate, and the cluster's own authority."
                        )
                return held, beside
    raise SettingsError(f"The kubeconfig has no {kind} named {name!r}.")


def _pem(entry: Mapping[str, Any], member: str, beside: Path) -> str | None:
    """PEM that stands in the kubeconfig as base64 under `<member>-data`, or in a file."""
    data = entry.get(f"{member}-data")
    if not data:
        return _file(entry, member, beside)
    try:
        return base64.b64decode(data, validate=True).decode()
    except (TypeError, ValueError):
        raise SettingsError(f"The kubeconfig's {member}-data is not base64.") from None


def _file(entry: Mapping[str, Any], member: str, beside: Path) -> str | None:
    path = entry.get(member)
    if not path:
        return None
    try:
        return (beside / str(path)).read_text()
    except (OSError, ValueError):
        raise SettingsError(f"The kubeconfig's {member} {str(path)!r} cannot be read.") from None
