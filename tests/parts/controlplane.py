"""A Kubernetes of our own: etcd, kube-apiserver and kube-controller-manager on loopback, gone when the block ends.

RBAC, admission policies and the audit log are on, as in any cluster. There is no node and no scheduler: `launcher` runs what
kubelet would run.
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from parts import PartFailed, audit, binaries, commands, private
from parts.certificates import make_ca
from parts.processes import Child, free_port

STARTING = 60.0
"""Seconds that each program has to become ready; a quiet machine needs about four in all."""

ADMIN = "admin"
CONTROLLER_MANAGER = "system:kube-controller-manager"


class ControlPlane:
    """A running control plane, as a context manager; everything it writes is in `directory`.

    `kubeconfig` is the administrator's; `url` and `ca` are for clients of other accounts. What is not audited costs less.
    """

    def __init__(self, directory: Path, *, audited: bool = True) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = directory / "admin.kubeconfig"
        self._etcd_port = free_port()
        self._audited = audited
        self._tokens = {ADMIN: secrets.token_hex(), CONTROLLER_MANAGER: secrets.token_hex()}
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        programs = binaries.obtain()
        self._write_files()
        try:
            self._start_etcd(programs.etcd)
            self._start_api_server(programs.kube_apiserver)
            self._start_controller_manager(programs.kube_controller_manager)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the programs, the last started first. Nothing is kept, so they need not be patient."""
        while self._children:
            self._children.pop().stop(grace=2)

    # What tests and the demo do with it

    @property
    def certificate(self) -> tuple[Path, Path]:
        """Its certificate and the key, for whoever stands in its place."""
        return self._certificate, self._key

    def client(self, token: str | None = None) -> httpx.Client:
        """Return an HTTP client of the API with this bearer token; the administrator's by default. Close it, or use it in a `with`."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token or self._tokens[ADMIN]}"},
            verify=ssl.create_default_context(cafile=self.ca),
            timeout=30,
            trust_env=False,
        )

    def token_of(self, namespace: str, account: str, *, pod: dict[str, Any] | None = None, lifetime: int = 24 * 3600) -> str:
        """Ask for a token of a ServiceAccount (TokenRequest), bound to `pod` as kubelet binds it; `lifetime` in seconds."""
        spec: dict[str, Any] = {"expirationSeconds": lifetime}
        if pod:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        with self.client() as client:
            answer = client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", json={"spec": spec})
        if answer.is_error:
            raise PartFailed(f"no token for the ServiceAccount {namespace}/{account}: {answer.json()['message']}")
        return str(answer.json()["status"]["token"])

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return what it printed; its complaint is the error."""
        done = subprocess.run(
            [commands.kubectl(), *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.directory / "kubectl")},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PartFailed(f"kubectl {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, manifests: Iterable[dict[str, Any]]) -> None:
        """Apply manifests on the server's side, so its defaults and admission speak."""
        documents = yaml.safe_dump_all(manifests)
        self.kubectl("apply", "--server-side", "--field-manager=tests", "-f", "-", stdin=documents)

    def calls(self, since: int = 0) -> list[audit.Call]:
        """Return the audited calls after the first `since`, oldest first."""
        return audit.read(self.directory / "audit.log", since)

    def pid_of(self, program: str) -> int:
        """The process id of `etcd`, `kube-apiserver` or `kube-controller-manager`."""
        return next(child.pid for child in self._children if child.name == program)

    # How it starts

    def _write_files(self) -> None:
        authority = make_ca(self.directory)
        self.ca = authority.path
        self._certificate, self._key = authority.issue(["127.0.0.1", "localhost", "kubernetes.default.svc"])
        (self.directory / "audit-policy.json").write_text(json.dumps(audit.POLICY))
        private.write(self.directory / "service-accounts.key", _private_key())
        groups = {ADMIN: "system:masters", CONTROLLER_MANAGER: ""}
        private.write(
            self.directory / "tokens.csv",
            "".join(f'{token},{user},{user},"{groups[user]}"\n' for user, token in self._tokens.items()),
        )
        private.write(self.kubeconfig, self._kubeconfig_of(ADMIN))
        private.write(self.directory / "controller-manager.kubeconfig", self._kubeconfig_of(CONTROLLER_MANAGER))
        (self.directory / "audit.log").touch()

    def _kubeconfig_of(self, user: str) -> str:
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "grantkeeper",
                "contexts": [{"name": "grantkeeper", "context": {"cluster": "grantkeeper", "user": user}}],
                "clusters": [{"name": "grantkeeper", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
                "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            },
        )

    def _start_etcd(self, program: Path) -> None:
        url = f"http://127.0.0.1:{self._etcd_port}"
        child = self._start(
            "etcd",
            program,
            [
                f"--data-dir={self.directory / 'etcd'}",
                f"--listen-client-urls={url}",
                f"--advertise-client-urls={url}",
                f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
                "--unsafe-no-fsync",  # nothing outlives the run
                "--log-level=warn",
            ],
        )
        child.wait_until(lambda: _answers(f"{url}/health"), timeout=STARTING)

    def _start_api_server(self, program: Path) -> None:
        files = self.directory
        child = self._start(
            "kube-apiserver",
            program,
            [
                f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={self.port}",
                f"--tls-cert-file={self._certificate}",
                f"--tls-private-key-file={self._key}",
                f"--cert-dir={files / 'apiserver'}",
                "--endpoint-reconciler-type=none",  # a Service cannot lead to loopback
                "--service-cluster-ip-range=10.0.0.0/24",
                "--authorization-mode=RBAC",
                f"--token-auth-file={files / 'tokens.csv'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={files / 'service-accounts.key'}",
                f"--service-account-signing-key-file={files / 'service-accounts.key'}",
                *(self._auditing() if self._audited else ()),
            ],
        )
        with self.client() as client:
            child.wait_until(lambda: _is_ok(client, "/readyz"), timeout=STARTING)

    def _auditing(self) -> tuple[str, ...]:
        return (
            f"--audit-policy-file={self.directory / 'audit-policy.json'}",
            f"--audit-log-path={self.directory / 'audit.log'}",
            "--audit-log-mode=blocking",  # an answered call is in the log
            "--audit-log-maxsize=10000",  # one file for the whole run
        )

    def _start_controller_manager(self, program: Path) -> None:
        child = self._start(
            "kube-controller-manager",
            program,
            [
                f"--kubeconfig={self.directory / 'controller-manager.kubeconfig'}",
                f"--service-account-private-key-file={self.directory / 'service-accounts.key'}",
                f"--root-ca-file={self.ca}",
                "--use-service-account-credentials",
                "--leader-elect=false",
                "--secure-port=0",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
        )
        with self.client() as client:
            child.wait_until(lambda: _is_ok(client, "/api/v1/namespaces/default/serviceaccounts/default"), timeout=STARTING)

    def _start(self, name: str, program: Path, arguments: Sequence[str]) -> Child:
        child = Child.start(name, [program, *arguments], log=self.directory / f"{name}.log")
        self._children.append(child)
        return child


def _private_key() -> str:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return pem.decode()


def _answers(url: str) -> bool:
    with httpx.Client(trust_env=False) as client:
        return _is_ok(client, url)


def _is_ok(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
