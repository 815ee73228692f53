"""Every situation in which somebody meets a page, each with what has to be true before and what must be answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from doors.house import CALLBACK, CODE, LINK, House, random_like
from grantkeeper.errors import Unreachable


@dataclass(frozen=True)
class Situation:
    """One page: `arrange` makes it the answer to a GET of `path`."""

    id: str
    status: int
    title: str
    path: str = LINK
    arrange: Callable[[House], None] = lambda _: None


def _with_request(**changes: object) -> Callable[[House], None]:
    return lambda house: house.request.update(changes)


def _with_status(state: str, **status: object) -> Callable[[House], None]:
    def arrange(house: House) -> None:
        house.request["state"] = state
        house.server.grant()["status"].update(status)

    return arrange


def _bare(house: House) -> None:
    house.request["scopes"] = []
    spec = house.server.grant()["spec"]
    spec.update(secrets=[], revocationPolicy="Retain")
    del spec["purpose"]
    consent = house.server.connector()["spec"]["consent"]
    del consent["displayName"], consent["scopeDescriptions"]


LONG = "pneumonoultramicroscopicsilicovolcanoconiosis" * 5


def _long(house: House) -> None:
    house.request["scopes"] = [f"https://api.example.com/auth/{LONG}", "short", *(f"scope.number.{n}" for n in range(12))]
    house.server.grant()["spec"].update(
        user=LONG,
        purpose="One line.\nAnother line. " + "A reason that goes on and on. " * 12 + LONG,
        secrets=[{"name": "a" * 253}, {"name": "second"}],
    )
    house.server.connector()["spec"]["consent"]["displayName"] = "W" * 64
    house.server.connector()["status"]["server"]["authorizationEndpoint"] = f"https://{'sub.' * 40}example.com:8443/authorize"


def _unreachable(house: House) -> None:
    def fail(_: str) -> None:
        raise Unreachable("the API server does not answer")

    house.server.fail = fail


def _unkept(house: House) -> None:
    house.server.connector()["spec"]["tokenStorage"] = "Disabled"


def _broken(house: House) -> None:
    del house.server.grant()["spec"]["user"]


def _unready(house: House) -> None:
    del house.server.connector()["status"]


def _denied_more(house: House) -> None:
    house.request.update(state="Refused", reason="ConsentDenied")
    house.server.grant()["status"]["tokenState"] = "Active"


def _wished_for(house: House) -> None:
    body = house.server.grant()
    body["metadata"]["annotations"] = {"grantkeeper.dev/connect": house.request["hash"]}
    body["status"] = {}


_ACCOUNT = {"account": {"subject": "alice-at-example"}, "grantedScopes": ["openid", "calendar.read", "calendar.write"]}
_FEWER = {"account": {"subject": "alice-at-example"}, "grantedScopes": ["openid", "calendar.read", "offline_access"]}

SITUATIONS = (
    Situation("question", 200, "Connect your Example Calendar account?"),
    Situation("question, bare", 200, "Connect your login.example.com account?", arrange=_bare),
    Situation("question, everything long", 200, f"Connect your {'W' * 64} account?", arrange=_long),
    Situation(
        "question, for more",
        200,
        "Connect your Example Calendar account?",
        arrange=_with_status("Open", tokenState="Active", grantedScopes=["openid", "calendar.read"]),
    ),
    Situation("question, no tokens kept", 200, "Connect your Example Calendar account?", arrange=_unkept),
    Situation("waiting", 200, "Just a moment", f"{LINK}?look=1", _with_request(state="Answered")),
    Situation("waiting, slow", 200, "Still working on it", f"{LINK}?look=12"),
    Situation("waiting, stopped", 200, "Still working on it", f"{LINK}?look=40"),
    Situation("connected", 200, "Example Calendar is connected", arrange=_with_status("Granted", **_ACCOUNT)),
    Situation("connected, less than asked", 200, "Example Calendar is connected", arrange=_with_status("Granted", **_FEWER)),
    Situation("refused: denied", 200, "Nothing was connected", arrange=_with_request(state="Refused", reason="ConsentDenied")),
    Situation("refused: exchange", 200, "Nothing was connected", arrange=_with_request(state="Refused", reason="ExchangeFailed")),
    Situation("refused: account", 200, "Nothing was connected", arrange=_with_request(state="Refused", reason="AccountMismatch")),
    Situation("refused: other", 200, "Nothing was connected", arrange=_with_request(state="Refused", reason="SomethingNew")),
    Situation(
        "refused: denied, connected before",
        200,
        "Nothing was connected",
        arrange=_denied_more,
    ),
    Situation("preparing", 503, "One moment", arrange=_wished_for),
    Situation("superseded", 410, "This link no longer counts", arrange=_with_request(state="Expired", reason="Superseded")),
    Situation("expired", 410, "This link has expired", arrange=_with_request(state="Expired")),
    Situation(
        "expired by the clock", 410, "This link has expired", arrange=lambda house: setattr(house, "now", house.now + timedelta(days=7))
    ),
    Situation("unknown link", 404, "There is nothing at this address", f"/consent/team-a/calendar-alice/{random_like('another id')}"),
    Situation("unknown address", 404, "There is nothing at this address", "/somewhere/else"),
    Situation("root", 200, "Nothing to do here", "/"),
    Situation("callback: unreadable", 400, "That answer cannot be used", f"{CALLBACK}?code={CODE}"),
    Situation("callback: wrong browser", 400, "Please go on where you started", f"{CALLBACK}?code={CODE}&state={random_like('a state')}"),
    Situation("unready", 503, "Not ready yet", arrange=_unready),
    Situation("trouble", 503, "We will be right back", arrange=_unreachable),
    Situation("fault", 500, "Something went wrong", arrange=_broken),
)
