"""The people of a storm: whoever is asked consents at once, as often as it takes, so that the load stays what it was."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from time import time
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from chaos.endpoint import TokenServer
from chaos.evidence import Report
from chaos.families import Family, Manner
from chaos.stage import CONNECTOR, NAMESPACE
from grantkeeper.consent.addresses import Callback, Link
from grantkeeper.consent.callback import Answer, Redirect, write_answer
from grantkeeper.consent.tickets import Ticket

ASKING = frozenset({"AwaitingConsent", "ReauthorizationRequired", "ExchangeFailed"})
PATIENCE = 45.0
"""Seconds after which somebody opens the same link once more: the answer before may have been lost."""


@dataclass(slots=True)
class People:
    """Consents in everybody's name."""

    server: TokenServer
    client: httpx.AsyncClient
    home: str
    external_url: str
    lifetime: int
    given: dict[str, int] = field(default_factory=dict)
    """How many consents each grant was given."""
    _opened: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    """The link that was opened last for each grant, when, and how often."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    def hear(self, report: Report) -> None:
        """Consent where that is asked for, and has not been done."""
        if not report.link or report.reason not in ASKING:
            return
        link, since, times = self._opened.get(report.grant, ("", 0.0, 0))
        if link == report.link and (time() - since < PATIENCE or times >= 3):
            return
        times = times + 1 if link == report.link else 1
        self._opened[report.grant] = (report.link, time(), times)
        self._tasks.add(task := asyncio.create_task(self._consent(report, times)))
        task.add_done_callback(self._tasks.discard)

    async def _consent(self, report: Report, times: int) -> None:
        async with self._places:
            self.given[report.grant] = number = self.given.get(report.grant, 0) + 1
            family = Family(f"{report.grant}#{number}", Manner.FAMILY, lifetime=self.lifetime, later=self.lifetime)
            code = await asyncio.to_thread(self.server.issue_code, family)
            request = urlsplit(report.link).path.rpartition("/")[2]
            redirect = Redirect(SecretStr(secrets.token_urlsafe(32)), SecretStr(code), error=None, iss=None)
            ticket = Ticket(Link(NAMESPACE, report.grant, SecretStr(request)), redirect.state)
            callback = Callback(NAMESPACE, CONNECTOR)
            answer = Answer(ticket, callback, self.external_url + callback.path, redirect, datetime.now(UTC))
            body = write_answer(answer, times, self.home)
            created = await self.client.post(f"/api/v1/namespaces/{self.home}/secrets", json=body)
            if created.status_code != HTTPStatus.CONFLICT:  # the answer before is still there
                created.raise_for_status()
