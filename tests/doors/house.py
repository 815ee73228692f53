"""One installation to knock at: a grant that awaits consent, its connector, the pages, and a browser that keeps cookies."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from bs4 import BeautifulSoup
from starlette.types import ASGIApp

from doors.apiserver import ApiServer
from grantkeeper.adapters.catalogue import load_presets
from grantkeeper.adapters.cluster import OAUTHCONNECTORS, USERGRANTS
from grantkeeper.consent.app import build
from grantkeeper.consent.measuring import Meter
from grantkeeper.consent.pages import Pages
from grantkeeper.consent.texts import Texts

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
HTTPS = "https://consent.example.com"
LOOPBACK = "http://127.0.0.1:8080"
PAGES = Pages(Texts.load("en"))
CODE = "SplxlOBeZQQYbYS6WxSbIA-the-code"
"""After the example of RFC 6749 section 4.1.2."""


def random_like(word: str) -> str:
    """256 bits in base64url that belong to a word."""
    return urlsafe_b64encode(hashlib.sha256(word.encode()).digest()).decode().rstrip("=")


ID = random_like("the id of the request")
LINK = f"/consent/team-a/calendar-alice/{ID}"
CALLBACK = "/callback/team-a/calendar"


def asked(**changes: object) -> dict[str, Any]:
    """An entry of status.consentRequests: open for six more days."""
    return {
        "hash": hashlib.sha256(ID.encode()).hexdigest(),
        "challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "nonce": "n-0S6_WzA2Mj",
        "state": "Open",
        "scopes": ["openid", "calendar.read", "calendar.write"],
        "expirationTime": (NOW + timedelta(days=6, hours=3)).isoformat(),
        **changes,
    }


def grant(**status: object) -> dict[str, Any]:
    """A grant whose link is in the hands of its person."""
    return {
        "metadata": {"name": "calendar-alice", "namespace": "team-a", "uid": "6f1c", "resourceVersion": "7"},
        "spec": {
            "connectorRef": {"name": "calendar"},
            "user": "alice@example.com",
            "purpose": "Puts the team's on-call shifts into your calendar, and takes them out again when they change.",
            "secrets": [{"name": "calendar-alice-token", "format": "Token"}],
        },
        "status": {"consentRequests": [asked()], **status},
    }


def connector() -> dict[str, Any]:
    """A connector that the controller has found ready."""
    return {
        "metadata": {"name": "calendar", "namespace": "team-a", "uid": "9a2b", "resourceVersion": "3"},
        "spec": {
            "issuer": "https://login.example.com",
            "clientID": "on-call-planner",
            "authorizationParameters": {"prompt": "consent"},
            "consent": {
                "link": "Status",
                "displayName": "Example Calendar",
                "scopeDescriptions": {
                    "openid": "Know which account you use",
                    "calendar.read": "See your calendars and the events in them",
                    "calendar.write": "Add, change and delete events",
                },
            },
        },
        "status": {"server": {"issuer": "https://login.example.com", "authorizationEndpoint": "https://login.example.com/authorize"}},
    }


@dataclass
class House:
    """The pages with what is behind them; the clock stands still unless a test moves it."""

    external_url: str = HTTPS
    now: datetime = NOW
    server: ApiServer = field(default_factory=ApiServer)
    pages: Pages = PAGES
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.server.put(USERGRANTS, grant())
        self.server.put(OAUTHCONNECTORS, connector())

    @property
    def request(self) -> dict[str, Any]:
        """The request as the grant's status shows it, to be changed in place."""
        entry: dict[str, Any] = self.server.grant()["status"]["consentRequests"][0]
        return entry

    def app(self) -> ASGIApp:
        """The application."""
        return build(
            self.server,
            self.pages,
            self.meter,
            external_url=self.external_url,
            operator_namespace="grantkeeper",
            presets=load_presets(),
            clock=lambda: self.now,
        )

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx.AsyncClient]:
        """A browser as far as headers and cookies go; it follows nothing by itself."""
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app(), raise_app_exceptions=False), base_url=self.external_url
        ) as it:
            yield it


def press(**headers: str) -> dict[str, str]:
    """The headers that a browser sends when somebody presses the button on our own page."""
    return {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Origin": "null", **headers}


def read(response: httpx.Response) -> BeautifulSoup:
    """The page that a response shows."""
    return BeautifulSoup(response.text, "html.parser")


def title(response: httpx.Response) -> str:
    """The heading of a page."""
    heading = read(response).find("h1")
    assert heading is not None
    return heading.get_text()


def onward(response: httpx.Response) -> str:
    """Where a page goes on to by itself."""
    meta = read(response).find("meta", attrs={"http-equiv": "refresh"})
    assert meta is not None, "the page does not go on by itself"
    match = re.fullmatch(r"\d+; url=(.*)", str(meta["content"]))
    assert match is not None
    return match[1]


def state_of(address: str) -> str:
    """The `state` that an authorization request carries."""
    return parse_qs(urlsplit(address).query)["state"][0]


async def start(browser: httpx.AsyncClient, link: str = LINK) -> str:
    """Press the button; the `state` that went to the authorization server."""
    response = await browser.post(link, headers=press())
    assert response.status_code == 200
    return state_of(onward(response))
