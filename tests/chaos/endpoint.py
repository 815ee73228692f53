"""The scripted authorization server as tests see it: started, told what to do, asked what it saw, and ended with the block."""

from __future__ import annotations

import base64
import os
import ssl
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from chaos.evidence import Call, read_call
from chaos.families import LEEWAY, Entry, Family, Manner
from chaos.serving import Arrival
from chaos.weather import Odds
from parts.certificates import make_ca
from parts.processes import Child, free_port

TESTS = Path(__file__).parents[1]
STARTING = 30.0


class TokenServer:
    """A process of its own, as a context manager."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = make_ca(directory)
        self.ca_bundle = base64.b64encode(authority.path.read_bytes()).decode()
        self.url = f"https://localhost:{(port := free_port())}"
        certificate, key = authority.issue(["localhost", "127.0.0.1"])
        control = free_port()
        self._command = [sys.executable, "-m", "chaos.tokenserver", str(certificate), str(key), str(port), str(control)]
        self._log = directory / "tokenserver.log"
        context = ssl.create_default_context(cafile=authority.path)
        self._client = httpx.Client(base_url=f"https://localhost:{control}", verify=context, trust_env=False, timeout=30)
        self._child: Child | None = None

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        self._child = Child.start("the scripted authorization server", self._command, log=self._log, environment=environment)
        self._child.wait_until(self._answers, timeout=STARTING)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()
        if self._child is not None:
            self._child.stop()

    def describe(self, manner: Manner) -> dict[str, Any]:
        """What a connector says of it."""
        return {
            "endpoints": {name: f"{self.url}/{path}" for name, path in _PATHS.items()},
            "caBundle": self.ca_bundle,
            "clientID": f"client-of-{manner}",
            "clientAuthentication": "None",
            "scopes": ["calendar.read"],
            "refresh": {"lifetimePercent": 10, **_REFRESH_OF[manner]},
        }

    def consent(self, family: Family, link: str) -> Arrival:  # noqa: ARG002  # nobody needs to be shown a page here
        """Somebody consents, and their browser comes back."""
        return Arrival(self.issue_code(family), None)

    def let_live(self, family: Family) -> None:
        """The family knows by itself how long its later tokens live."""

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """Somebody else presents a refresh token; the members of the answer."""
        return self._ask("POST", "/token", data={"grant_type": "refresh_token", "refresh_token": refresh_token})

    def seen(self, account: str) -> list[Entry]:
        """What was presented in the name of an account, in order."""
        return [Entry(*entry) for entry in self._ask("GET", f"/control/accounts/{account}")["entries"]]

    def ledger(self, since: int = 0) -> list[Entry]:
        """What was presented in anybody's name, after the first `since`."""
        return [Entry(*entry) for entry in self._ask("GET", f"/control/ledger/{since}")["entries"]]

    def set_weather(self, odds: Odds, seed: str) -> None:
        """What happens to token requests from now on."""
        self._ask("PUT", "/control/weather", json={"odds": asdict(odds), "seed": seed})

    def set_lifetime(self, seconds: int) -> None:
        """Let all access tokens from now on live so long, whatever their family says."""
        self._ask("PUT", f"/control/lifetime/{seconds}")

    def reset_all(self, seconds: float) -> None:
        """Reset each new connection for so long, before a request is read."""
        self._ask("PUT", f"/control/away/{seconds:.3f}")

    def refuse_all(self, seconds: float) -> None:
        """Accept no connection for so long."""
        self._ask("PUT", f"/control/refusing/{seconds:.3f}")

    def calls(self, since: int = 0) -> tuple[list[Call], list[Call]]:
        """What became of token requests, after the first `since`; and those that are not over yet."""
        told = self._ask("GET", f"/control/calls/{since}")
        return [read_call(call) for call in told["calls"]], [read_call(call) for call in told["open"]]

    def issue_code(self, family: Family) -> str:
        """A code for a consent."""
        return str(self._ask("POST", "/control/codes", json=asdict(family))["code"])

    def is_ended(self, account: str) -> bool:
        """Whether the account's newest consent is over: revoked, or ended by a spent token."""
        return bool(self._ask("GET", f"/control/accounts/{account}")["ended"])

    def is_active(self, token: str) -> bool:
        """Whether a token would be accepted now (RFC 7662)."""
        return bool(self._ask("POST", "/introspect", data={"token": token})["active"])

    def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        return dict(self._client.request(method, path, **body).raise_for_status().json())

    def _answers(self) -> bool:
        try:
            return self._client.get("/control/ledger/0").is_success
        except httpx.TransportError:
            return False


_REFRESH_OF: dict[Manner, dict[str, Any]] = {
    Manner.KEPT: {"rotation": "None"},
    Manner.LEEWAY: {"rotation": "Strict", "leewaySeconds": int(LEEWAY)},
    Manner.STRICT: {"rotation": "Strict"},
    Manner.FAMILY: {"rotation": "Detect"},
}
"""What a connector says of each manner; of one it says nothing, which counts as rotating until shown otherwise."""
_PATHS = {"authorization": "authorize", "token": "token", "revocation": "revoke", "userinfo": "userinfo"}
