"""People who are stopped on their way back from the authorization server, and answers that were made by hand."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import SecretStr

from cluster.stage import WITHIN, Object, Stage
from grantkeeper.consent.addresses import Callback, Link
from grantkeeper.consent.callback import Answer, Redirect, write_answer
from grantkeeper.consent.tickets import Ticket
from parts.person import Page, Person
from parts.waiting import wait_for


class Arrived(Exception):
    """A browser is about to open a callback."""


class Traveller(Person):
    """Somebody with a browser that keeps the address of the callback instead of opening it."""

    def __init__(self, stage: Stage, account: str = "alice") -> None:
        super().__init__(account, trusting=[stage.auth_server.ca])

    def set_out(self, link: str) -> str:
        """Press the button on the question; the `state` with which the authorization server would be visited."""
        page = self.submit(self.open(link))
        assert page.moves_on, f"{page!r} does not lead to the authorization server"
        return parse_qs(urlsplit(page.moves_on[1]).query)["state"][0]

    def travel(self, link: str, *, deny: bool = False) -> httpx.URL:
        """Answer at the authorization server; the callback's address, not yet opened by anybody."""
        self.browser.event_hooks = {"request": [_stop_at_callback]}
        try:
            self.consent(link, deny=deny)
        except Arrived as arrived:
            return httpx.URL(str(arrived))
        finally:
            self.browser.event_hooks = {}
        raise AssertionError("the authorization server sent nobody back")

    @property
    def ticket(self) -> dict[str, str]:
        """The cookies by which the pages know this browser again."""
        return {cookie.name: cookie.value or "" for cookie in self.browser.cookies.jar if cookie.name.startswith("consent-")}

    def arrive(self, callback: httpx.URL) -> Page:
        """Open a callback, and go where it leads."""
        return self.open(str(callback))


def _stop_at_callback(request: httpx.Request) -> None:
    if request.url.path.startswith("/callback/"):
        raise Arrived(str(request.url))


def forge(stage: Stage, state: str, *, connector: str = "calendar", **parameters: str) -> httpx.URL:
    """A callback that no authorization server ever wrote."""
    address = f"{stage.installation.external_url}/callback/{stage.namespace}/{connector}"
    return httpx.URL(address, params={"state": state, "code": random(), "iss": stage.auth_server.issuer, **parameters})


def random() -> str:
    """256 bits as ids and states are spelt."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def id_of(link: str) -> str:
    """The id in a consent link."""
    return urlsplit(link).path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Forger:
    """Somebody who has taken over `consent`: may create answers, of any content, and nothing else."""

    stage: Stage

    def leave(
        self, request_id: str, code: str, *, grant: str = "alice", number: int = 1, changes: Mapping[str, str | None] | None = None
    ) -> str:
        """Create an answer; `changes` are data keys to set, or to leave out with None. The name of the Secret."""
        stage = self.stage
        callback = Callback(stage.namespace, "calendar")
        link = Link(stage.namespace, grant, SecretStr(request_id))
        redirect = Redirect(SecretStr(random()), SecretStr(code), error=None, iss=stage.auth_server.issuer)
        uri = stage.installation.external_url + callback.path
        answer = Answer(Ticket(link, redirect.state), callback, uri, redirect, datetime.now(UTC))
        return self._create(_changed(write_answer(answer, number, stage.installation.namespace), changes or {}))

    def _create(self, body: Object) -> str:
        stage, home = self.stage, self.stage.installation.namespace
        with stage.control_plane.client(stage.control_plane.token_of(home, "grantkeeper-consent")) as client:
            client.post(f"/api/v1/namespaces/{home}/secrets", json=body).raise_for_status()
        return str(body["metadata"]["name"])


def _changed(body: Object, changes: Mapping[str, str | None]) -> Object:
    encoded = {key: value and base64.b64encode(value.encode()).decode() for key, value in changes.items()}
    return {**body, "data": {key: value for key, value in {**body["data"], **encoded}.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a grant has: sealed, delivered, and of which generation."""

    tokenset: str | None
    delivered: dict[str, str]
    generation: int | None


def holdings(stage: Stage, name: str) -> Holdings:
    """What a grant has now."""
    sealed = stage.sealed(name)["data"].get("tokenset")
    generation = stage.get(stage.grant_path(name))["status"].get("tokenGeneration")
    return Holdings(sealed, stage.delivered(name) if sealed else {}, generation)


def codes(stage: Stage) -> list[tuple[str, str | None]]:
    """Every code that was presented, by its hash, and the error that it was answered with."""
    entries = stage.auth_server.ledger(stage.client_id)
    return [(entry["presented"], entry["error"]) for entry in entries if entry["grant_type"] == "authorization_code"]


def wait_judged(stage: Stage, *names: str) -> None:
    """Return when the controller has dealt with these answers, or with all to grants of this namespace."""
    path = f"/api/v1/namespaces/{stage.installation.namespace}/secrets?labelSelector=grantkeeper.dev%2Fkind%3Danswer"

    def are_gone() -> bool:
        waiting = [item for item in stage.get(path)["items"] if base64.b64decode(item["data"]["namespace"]).decode() == stage.namespace]
        return not [item for item in waiting if not names or item["metadata"]["name"] in names]

    wait_for(are_gone, "the controller to judge an answer", within=WITHIN)
