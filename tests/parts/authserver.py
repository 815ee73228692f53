"""A real authorization server on https, that a test can look into, stop, start again, and make misbehave as networks do.

The server itself, a certified OpenID provider, is in `tests/authserver`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from parts import cache, toolchains
from parts.certificates import make_ca
from parts.processes import Child, free_port, require_free
from parts.progress import step

SOURCE = Path(__file__).parents[1] / "authserver"
STARTING = 30.0
PATIENCE = 30.0
"""Seconds for one answer: machines stand still now and then."""
INSPECTOR = ("inspector", "inspects-tokens")
"""The client as which tests introspect; the ledger shows it by this name."""


class AuthServer:
    """A running authorization server, as a context manager; everything it writes is in `directory`.

    The issuer holds the port, so `stop` and `start` keep it, and with it all that the server remembers. Access tokens live
    `lifetime` seconds unless their client says otherwise. With `issued_file` every secret is written there in clear.
    """

    def __init__(self, directory: Path, *, port: int | None = None, lifetime: int = 60, issued_file: Path | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = port or free_port()
        self.issuer = f"https://127.0.0.1:{self.port}"
        self.lifetime = lifetime
        self.issued_file = issued_file
        self._control = f"http://127.0.0.1:{free_port()}"
        self._child: Child | None = None
        authority = make_ca(directory)
        self.ca = authority.path
        self._certificate, self._key = authority.issue(["127.0.0.1", "localhost"])

    def __enter__(self) -> Self:
        self.start()
        client_id, secret = INSPECTOR
        self.register(client_id, secret, redirect_uris=[])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def ca_pem(self) -> str:
        """The certificate authority that vouches for it, in PEM."""
        return self.ca.read_text()

    @property
    def ca_bundle(self) -> str:
        """The same as a connector's `spec.caBundle` wants it, in base64."""
        return base64.b64encode(self.ca.read_bytes()).decode()

    # Its life

    def start(self) -> None:
        """Start it, again with all that it remembered; a sentence says so when its port is taken."""
        require_free(self.port, "the authorization server")
        for module in SOURCE.glob("*.mjs"):
            shutil.copy(module, self.directory)
        _link(self.directory / "node_modules", installed())
        self._child = Child.start(
            "the authorization server",
            [toolchains.node(), self.directory / "server.mjs"],
            log=self.directory / "server.log",
            environment=self._environment(),
        )
        self._child.wait_until(self._is_ready, timeout=STARTING)

    def stop(self) -> None:
        """Stop it; whoever connects is refused until `start`."""
        if self._child:
            self._child.stop()

    def freeze(self) -> None:
        """Stop it from running: connections are accepted by the kernel, and no byte is answered, until `thaw`."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        self._send(signal.SIGCONT)

    # Who its clients are, and what it does to them

    def register(
        self,
        client_id: str,
        secret: str | None,
        *,
        redirect_uris: list[str],
        authentication: str = "client_secret_basic",
        lifetime: int | None = None,
    ) -> None:
        """Make a client known, or change it; without a secret it is a public one.

        `authentication` is a `token_endpoint_auth_method` of RFC 7591; `lifetime` is that of its access tokens, in seconds.
        """
        metadata: dict[str, Any] = {
            "client_id": client_id,
            "redirect_uris": redirect_uris,
            "grant_types": ["authorization_code", "refresh_token"] if redirect_uris else [],
            "response_types": ["code"] if redirect_uris else [],
            "token_endpoint_auth_method": authentication if secret else "none",
        }
        if secret:
            metadata["client_secret"] = secret
        if lifetime:
            metadata["access_token_lifetime"] = lifetime
        self._tell("clients", body=metadata)

    def forget(self, account: str) -> None:
        """Revoke everything that this account has consented to: the next refresh is `invalid_grant`."""
        self._tell("forget", account=account)

    def rotate_keys(self) -> None:
        """Sign with a new key from now on, and publish no other; for that it is stopped and started."""
        self._tell("rotate")
        self.stop()
        self.start()

    def hold(self) -> None:
        """Do the work of token requests, but send no answer until `release`."""
        self._tell("hold")

    def release(self) -> None:
        """Send the held answers, and later ones at once."""
        self._tell("release")

    def held(self, client_id: str) -> int:
        """How many answers to a client are held back now."""
        return list(self._tell("held")["held"]).count(client_id)

    def cut(self) -> None:
        """Do the work of the next token request, then cut the connection instead of answering."""
        self._tell("cut")

    def ignore(self) -> None:
        """Take token requests, and neither work them off nor answer, until `heed`; the rest of the server is as always."""
        self._tell("ignore")

    def heed(self) -> None:
        """Work off token requests again; those that were ignored stay so."""
        self._tell("heed")

    def ignored(self, client_id: str) -> int:
        """How many token requests of a client were ignored."""
        return list(self._tell("ignored")["ignored"]).count(client_id)

    # What it knows

    def ledger(self, client_id: str | None = None) -> list[dict[str, Any]]:
        """Return the requests to its token, revocation and introspection endpoints, as they came; of one client, or of all.

        Each has `id`, `time`, `endpoint` (token, revocation, introspection), `grant_type`, `client_id`, `presented` (SHA-256),
        `status`, `error`, `access_token` and `refresh_token` (SHA-256 of what was issued), and `delivered`: whether the answer
        reached the socket, None while that is not known. A request is here from when its work is done, also while `hold` lasts.
        """
        file = self.directory / "ledger.jsonl"
        entries: dict[str, dict[str, Any]] = {}
        for line in file.read_text().splitlines() if file.exists() else []:
            said = json.loads(line)
            entries.setdefault(said["id"], {"delivered": None}).update(said)
        worked_off = [entry for entry in entries.values() if "time" in entry]
        return sorted((entry for entry in worked_off if client_id in (None, entry["client_id"])), key=lambda entry: str(entry["time"]))

    def introspect(self, token: str) -> dict[str, Any]:
        """Ask the server about a token (RFC 7662); `active` is always there."""
        with self.client() as client:
            answer = client.post("/token/introspection", data={"token": token}, auth=INSPECTOR)
        answer.raise_for_status()
        return dict(answer.json())

    def client(self) -> httpx.Client:
        """Return an HTTP client that trusts the server. Close it, or use it in a `with`."""
        return httpx.Client(base_url=self.issuer, verify=ssl.create_default_context(cafile=self.ca), timeout=PATIENCE, trust_env=False)

    def _environment(self) -> dict[str, str]:
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "CONTROL_PORT": self._control.rpartition(":")[2],
            "CERTIFICATE": str(self._certificate),
            "KEY": str(self._key),
            "DIRECTORY": str(self.directory),
            "ACCESS_TOKEN_LIFETIME": str(self.lifetime),
        }
        if self.issued_file:
            environment["ISSUED_FILE"] = str(self.issued_file)
        return environment

    def _is_ready(self) -> bool:
        try:
            with self.client() as client:
                return client.get("/.well-known/openid-configuration", timeout=5).is_success
        except httpx.TransportError:
            return False

    def _tell(self, action: str, body: dict[str, Any] | None = None, **query: str) -> dict[str, Any]:
        answer = httpx.post(f"{self._control}/{action}", json=body, params=query, timeout=PATIENCE, trust_env=False)
        answer.raise_for_status()
        return dict(answer.json())

    def _send(self, number: signal.Signals) -> None:
        if self._child:
            self._child.send(number)


def installed() -> Path:
    """Return the server's installed packages, fetched once into the user's cache."""
    lock = SOURCE / "package-lock.json"

    def install(directory: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, directory)
        with step("installing the authorization server into the cache"):
            toolchains.run([*toolchains.npm(), "ci", "--no-audit", "--no-fund"], "npm ci", directory)

    return cache.obtain(f"authserver-{cache.key_of(lock)}", install) / "node_modules"


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
