"""The two ways in: a link that somebody follows, and the address to which the authorization server sends them back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from grantkeeper.consent.addresses import Callback, Link
from grantkeeper.consent.callback import Answer, read_redirect
from grantkeeper.consent.judging import depart, find_request, is_open, is_wished_for, judge
from grantkeeper.consent.measuring import Meter
from grantkeeper.consent.pages import Pages
from grantkeeper.consent.reach import Reach
from grantkeeper.consent.tickets import Ticket, Tickets
from grantkeeper.consent.views import Departure, Notice, Question, Waiting
from grantkeeper.core.catalogue import Preset
from grantkeeper.resources import ConsentRequestStatus, OAuthConnector, UserGrant

_log = structlog.get_logger(__name__)

_LOOK = re.compile(r"[1-9][0-9]{0,2}")
_UNKNOWN_AFTER = 0.25
"""Seconds after which a link is said to be unknown: as many where there is such a grant as where there is none."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What happens at each address. `clock` tells the time, `draw` 256 random bits in base64url."""

    external_url: str
    reach: Reach
    pages: Pages
    tickets: Tickets
    meter: Meter
    clock: Callable[[], datetime]
    draw: Callable[[], str]
    presets: Mapping[str, Preset]

    async def root(self, _: Request) -> Response:
        """Say what this place is to somebody who came without a link."""
        return self.pages.render(Notice.ROOT)

    async def follow(self, request: Request) -> Response:
        """Show what a link leads to, which changes nothing; the button on the question, a POST, starts the flow."""
        link = Link.read(**request.path_params)
        if link is None:
            return self.pages.render(Notice.UNKNOWN)
        is_start = request.method == "POST"
        if is_start and not self._is_own_form(request):
            return self.pages.render(Notice.ELSEWHERE)
        found = await self._find(link)
        if isinstance(found, Notice):
            return self.pages.render(found)
        grant, asked = found
        connector = await self.reach.connector(grant)
        look = 0 if is_start else _read_look(request)
        page = judge(grant, asked, connector, now=self.clock(), look=look, presets=self.presets)
        if is_start and isinstance(page, Question):
            return self._depart(link, grant, asked, connector)
        if look and not isinstance(page, Waiting):
            return self._send_to(link)
        return self.pages.render(page)

    async def receive(self, request: Request) -> Response:
        """Take back a person whom the authorization server sent here, and leave the answer for the controller."""
        if request.method != "GET":
            raise HTTPException(405, headers={"Allow": "GET"})
        callback = Callback.read(**request.path_params)
        if callback is None:
            return self.pages.render(Notice.UNKNOWN)
        if _is_guess(request):
            return Response(status_code=503)
        redirect = read_redirect(request.scope["query_string"].decode("latin-1"))
        if redirect is None:
            return self.pages.render(Notice.UNREADABLE)
        ticket = self.tickets.read(request.cookies, redirect.state)
        if ticket is None:
            return self.pages.render(Notice.WRONG_BROWSER)
        found = await self._find(ticket.link)
        if isinstance(found, Notice):
            return self.pages.render(Notice.UNKNOWN)
        grant, asked = found
        if callback != Callback(*grant.connector_name):
            return self.pages.render(Notice.UNREADABLE)
        answer = Answer(ticket, callback, self._redirect_uri(callback), redirect, self.clock())
        response = await self._leave(answer) if is_open(asked, answer.time) else self._send_to(ticket.link)
        self.tickets.take_back(ticket.state, response)
        return response

    def _depart(self, link: Link, grant: UserGrant, asked: ConsentRequestStatus, connector: OAuthConnector | None) -> Response:
        state = SecretStr(self.draw())
        callback = Callback(*grant.connector_name)
        page = depart(asked, connector, redirect_uri=self._redirect_uri(callback), state=state, presets=self.presets)
        response = self.pages.render(page)
        if isinstance(page, Departure):
            self.tickets.hand_out(Ticket(link, state), response)
            _log.info("A person went to the authorization server", namespace=link.namespace, grant=link.grant)
        return response

    async def _leave(self, answer: Answer) -> Response:
        link = answer.ticket.link
        number = await self.reach.leave(answer)
        self.meter.count_answer(has_code=answer.redirect.code is not None, is_left=number is not None)
        _log.info("An answer came back", namespace=link.namespace, grant=link.grant, number=number)
        return self.pages.render(Notice.USED) if number is None else self._send_to(link, "?look=1")

    def _send_to(self, link: Link, query: str = "") -> Response:
        """Send a person to a link; after a callback also because no history shall keep a code (RFC 9700 section 4.3.1)."""
        return RedirectResponse(self.external_url + link.path + query, status_code=303)

    async def _find(self, link: Link) -> tuple[UserGrant, ConsentRequestStatus] | Notice:
        """The grant of a link, and the request; or why there is none, which is always said equally late."""
        clock = asyncio.get_running_loop()
        unknown_at = clock.time() + _UNKNOWN_AFTER
        grant = await self.reach.grant(link.namespace, link.grant)
        asked = find_request(grant, link)
        if grant is None or asked is None:
            await asyncio.sleep(unknown_at - clock.time())
            return Notice.PREPARING if is_wished_for(grant, link) else Notice.UNKNOWN
        return grant, asked

    def _redirect_uri(self, callback: Callback) -> str:
        return self.external_url + callback.path

    def _is_own_form(self, request: Request) -> bool:
        """Whether a POST comes from our own page. Our form itself says `Origin: null`, as the pages allow no referrer."""
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        # What sends neither header is no browser, and no other site can lead it here.
        url = urlsplit(self.external_url)
        return request.headers.get("origin") in {None, f"{url.scheme}://{url.netloc}"}


def _read_look(request: Request) -> int:
    """How often this person has looked since they answered, as our own pages count it."""
    look = request.query_params.get("look", "")
    return int(look) if _LOOK.fullmatch(look) else 0


def _is_guess(request: Request) -> bool:
    """Whether a browser only fetches ahead. A guess must not spend an answer; the browser asks again when the person does."""
    return any("prefetch" in request.headers.get(name, "") for name in ("sec-purpose", "purpose", "x-moz"))
