"""The scripted token endpoint as the bench sees it: started, asked, told, and ended with the block."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from bench.ledger import Entry
from parts.certificates import make_ca
from parts.processes import Child, free_port

TESTS = Path(__file__).parents[1]
STARTING = 20.0


class TokenEndpoint:
    """A process of its own, as a context manager."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = make_ca(directory)
        self.ca = authority.path
        self.ca_bundle = self.ca.read_bytes()
        self.url = f"https://localhost:{(port := free_port())}"
        certificate, key = authority.issue(["localhost", "127.0.0.1"])
        self._command = [sys.executable, "-m", "bench.tokenserver", str(certificate), str(key), str(port)]
        self._log = directory / "tokenserver.log"
        self._client = httpx.Client(
            base_url=self.url, verify=ssl.create_default_context(cafile=authority.path), trust_env=False, timeout=30
        )
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self._child = Child.start("the token endpoint", self._command, log=self._log, environment={**os.environ, "PYTHONPATH": str(TESTS)})
        self._child.wait_until(self._answers, timeout=STARTING)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()
        if self._child is not None:
            self._child.stop()

    def read(self, since: int = 0) -> tuple[list[Entry], int]:
        """What was presented, after the first `since`, and how many presentations were of a spent token."""
        answer = self._client.get(f"/ledger/{since}").raise_for_status().json()
        return [Entry(*entry) for entry in answer["entries"]], int(answer["twice"])

    def set_lifetime(self, seconds: int) -> None:
        """Let the coming access tokens live so long."""
        self._client.put(f"/lifetime/{seconds}").raise_for_status()

    def _answers(self) -> bool:
        try:
            return self._client.get("/ledger/0").is_success
        except httpx.TransportError:
            return False
