"""Which page somebody sees, by what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from doors.house import ID, NOW, asked, connector, grant, random_like
from grantkeeper.consent.addresses import Link
from grantkeeper.consent.judging import depart, describe_server, find_request, is_wished_for, judge
from grantkeeper.consent.views import Asker, Connected, Departure, Notice, Page, Question, Refused, Scope, Server, Waiting
from grantkeeper.core.catalogue import Preset
from grantkeeper.resources import OAuthConnector, UserGrant

LINK = Link("team-a", "calendar-alice", SecretStr(ID))
ASKER = Asker(
    "team-a",
    "calendar-alice",
    "alice@example.com",
    grant()["spec"]["purpose"],
)
SERVER = Server("Example Calendar", "login.example.com")
SCOPES = (
    Scope("openid", "Know which account you use"),
    Scope("calendar.read", "See your calendars and the events in them"),
    Scope("calendar.write", "Add, change and delete events"),
)


def seen(
    request: Mapping[str, Any] | None = None, *, ready: bool = True, found: bool = True, look: int = 0, late: bool = False, **status: Any
) -> Page:
    """The page of a link, with its request, connector and status changed."""
    known = UserGrant.read(grant(consentRequests=[asked(**(request or {}))], **status))
    entry = find_request(known, LINK)
    assert entry is not None
    body = connector()
    if not ready:
        del body["status"]
    return judge(known, entry, OAuthConnector.read(body) if found else None, now=NOW + timedelta(days=7 if late else 0), look=look)


QUESTION = Question(
    ASKER, SERVER, SCOPES, ("calendar-alice-token",), revokes=True, keeps=True, expires_at=NOW + timedelta(days=6, hours=3), now=NOW
)
ALL = ["openid", "calendar.read", "calendar.write"]


def accepted(status: str, reason: str) -> dict[str, str]:
    """The grant's condition `Accepted`."""
    return {"type": "Accepted", "status": status, "reason": reason, "lastTransitionTime": "2026-11-21T06:00:00Z"}


def waiting(look: int, pause: int | None, *, is_slow: bool = False, may_start_again: bool = False) -> Waiting:
    """The page of somebody who waits for this server's answer to be put to use."""
    return Waiting(SERVER, look, pause, is_slow=is_slow, may_start_again=may_start_again)


def scopes(*missing: str, besides: tuple[str, ...] = ()) -> tuple[Scope, ...]:
    """The scopes that were asked for, these of them not granted, and others that were."""
    return (*(replace(scope, granted=scope.name not in missing) for scope in SCOPES), *map(Scope, besides))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, QUESTION, id="open: the question"),
        pytest.param({"ready": False}, Notice.UNREADY, id="open, but no way to the server is known yet"),
        pytest.param({"found": False}, Notice.UNREADY, id="open, but without a connector"),
        pytest.param(
            {"conditions": [accepted("False", "NamespaceNotAllowed")]}, Notice.UNREADY, id="open, but its connector admits it no more"
        ),
        pytest.param({"conditions": [accepted("Unknown", "Pending")]}, Notice.UNREADY, id="open, but its namespace is not kept"),
        pytest.param({"conditions": [accepted("True", "Accepted")]}, QUESTION, id="open, and its connector admits it"),
        pytest.param({"late": True}, Notice.EXPIRED, id="open, but its time is over"),
        pytest.param({"late": True, "look": 3}, Notice.EXPIRED, id="its time ran out while somebody waited"),
        pytest.param({"look": 1}, waiting(1, 1), id="open, just answered: wait"),
        pytest.param({"look": 12}, waiting(12, 5, is_slow=True, may_start_again=True), id="open long after the answer: it got lost"),
        pytest.param({"look": 31}, waiting(31, None, is_slow=True, may_start_again=True), id="after five minutes the page rests"),
        pytest.param({"request": {"state": "Answered"}}, waiting(1, 1), id="answered: wait"),
        pytest.param({"request": {"state": "Answered"}, "late": True}, waiting(1, 1), id="answered in time: wait"),
        pytest.param({"request": {"state": "Answered"}, "look": 12}, waiting(12, 5, is_slow=True), id="answered: nothing to start again"),
        pytest.param({"request": {"state": "Expired"}}, Notice.EXPIRED, id="expired"),
        pytest.param({"request": {"state": "Expired", "reason": "Superseded"}}, Notice.SUPERSEDED, id="closed before its time"),
        pytest.param(
            {"tokenState": "Active", "grantedScopes": ["openid", "calendar.read"]},
            replace(QUESTION, scopes=(*SCOPES[:2], replace(SCOPES[2], is_new=True))),
            id="open, for more than is held: what is new is marked",
        ),
        pytest.param({"tokenState": "Active", "grantedScopes": ALL}, QUESTION, id="open, for what is held: nothing is new"),
        pytest.param({"tokenState": "Inactive", "grantedScopes": ["openid"]}, QUESTION, id="open, and nothing of use is held: all is new"),
        pytest.param(
            {"request": {"state": "Refused", "reason": "ConsentDenied"}, "tokenState": "Active"},
            Refused(ASKER, SERVER, "ConsentDenied", stays=True),
            id="refused, and what was connected stays",
        ),
        pytest.param({"request": {"state": "Refused", "reason": "ConsentDenied"}}, Refused(ASKER, SERVER, "ConsentDenied"), id="refused"),
        pytest.param({"request": {"state": "Refused"}}, Refused(ASKER, SERVER, "Unknown"), id="refused without a reason"),
        pytest.param(
            {"request": {"state": "Refused", "reason": "ExchangeFailed"}, "found": False},
            Refused(ASKER, Server("calendar", ""), "ExchangeFailed"),
            id="an outcome does not need the connector",
        ),
        pytest.param(
            {"request": {"state": "Granted"}, "account": {"subject": "alice-at-example"}, "grantedScopes": ALL},
            Connected(ASKER, SERVER, "alice-at-example", SCOPES),
            id="granted, all of it",
        ),
        pytest.param(
            {"request": {"state": "Granted"}, "grantedScopes": ["calendar.read", "extra"]},
            Connected(ASKER, SERVER, None, scopes("openid", "calendar.write", besides=("extra",))),
            id="granted: less than asked, and something besides",
        ),
        pytest.param(
            {"request": {"state": "Granted"}},
            Connected(ASKER, SERVER, None, SCOPES),
            id="a server that names no scopes granted what was asked",
        ),
    ],
)
def test_which_page(given: dict[str, Any], expected: Page) -> None:
    assert seen(**given) == expected


def test_looks_come_ever_slower_and_end() -> None:
    pages = [seen({"state": "Answered"}, look=look) for look in range(1, 40)]
    pauses = [page.pause for page in pages if isinstance(page, Waiting)]
    assert len(pauses) == 39
    assert pauses[0] == 1
    going = [pause for pause in pauses if pause is not None]
    assert going == sorted(going)
    assert sum(going) == pytest.approx(300, rel=0.1)
    assert pauses[len(going) :] == [None] * (39 - len(going))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(None, "there is no such grant", id="no grant"),
        pytest.param(grant(consentRequests=[]), "it asks nothing", id="a grant that asks nothing"),
        pytest.param(grant(consentRequests=[asked(hash="0" * 64)]), "it asks something else", id="another request"),
        pytest.param(grant(consentRequests=[asked(hash=ID)]), "the id itself is not its hash", id="the id in place of its hash"),
    ],
)
def test_links_that_lead_nowhere(body: dict[str, Any] | None, why: str) -> None:
    assert find_request(UserGrant.read(body) if body else None, LINK) is None, why


def test_the_links_of_a_grant_that_is_deleted_lead_nowhere() -> None:
    body = grant()
    body["metadata"]["deletionTimestamp"] = "2026-11-21T06:00:00Z"
    assert find_request(UserGrant.read(body), LINK) is None


@pytest.mark.parametrize(
    ("annotation", "is_deleting", "expected"),
    [
        pytest.param(asked()["hash"], False, True, id="this link was asked for"),
        pytest.param("0" * 64, False, False, id="another link was asked for"),
        pytest.param(ID, False, False, id="the id itself"),
        pytest.param(asked()["hash"], True, False, id="the grant is on its way out"),
    ],
)
def test_a_link_that_was_just_asked_for_is_waited_for(annotation: str, is_deleting: bool, expected: bool) -> None:
    body = grant(consentRequests=[])
    body["metadata"]["annotations"] = {"grantkeeper.dev/connect": annotation}
    if is_deleting:
        body["metadata"]["deletionTimestamp"] = "2026-11-21T06:00:00Z"
    assert is_wished_for(UserGrant.read(body), LINK) is expected


@pytest.mark.parametrize(
    ("endpoint", "issuer", "name", "expected"),
    [
        pytest.param("https://a.example/authorize", None, "Name", Server("Name", "a.example"), id="the name that the connector gives it"),
        pytest.param(
            "https://a.example/authorize", "https://b.example/realm", None, Server("b.example", "a.example"), id="the issuer's host"
        ),
        pytest.param(
            "https://A.example:8443/x?y=z", None, None, Server("a.example:8443", "a.example:8443"), id="the endpoint's host and port"
        ),
        pytest.param("https://[::1]:8443/x", None, None, Server("[::1]:8443", "[::1]:8443"), id="an address"),
        pytest.param("http://a.example/", None, "Name", None, id="not https"),
        pytest.param("javascript:alert(1)", None, "Name", None, id="a script"),
        pytest.param("https://good.example@evil.example/", None, "Name", None, id="a user part that looks like a host"),
        pytest.param("https://evil.example\\@good.example/", None, "Name", None, id="a backslash: browsers and Python disagree"),
        pytest.param("https://g\u043e\u043ed.example/", None, "Name", None, id="letters that look like others"),
        pytest.param("https://a.example/x y", None, "Name", None, id="a space"),
        pytest.param("https://a.example/\n", None, "Name", None, id="a line end"),
        pytest.param("https:///x", None, "Name", None, id="no host"),
        pytest.param(None, None, "Name", None, id="no endpoint yet"),
    ],
)
def test_how_a_server_is_shown(endpoint: str | None, issuer: str | None, name: str | None, expected: Server | None) -> None:
    body = connector()
    body["spec"]["consent"]["displayName"] = name
    body["status"]["server"] = {"issuer": issuer, "authorizationEndpoint": endpoint}
    assert describe_server(OAuthConnector.read(body)) == expected


def departure(request: Mapping[str, Any] | None = None, **spec: Any) -> Departure | Notice:
    """The way to the authorization server, with request and connector changed."""
    body = connector()
    body["spec"].update(spec)
    entry = find_request(UserGrant.read(grant(consentRequests=[asked(**(request or {}))])), LINK)
    assert entry is not None
    return depart(
        entry, OAuthConnector.read(body), redirect_uri="https://c.example/callback/team-a/calendar", state=SecretStr(random_like("s"))
    )


def query(found: Departure | Notice) -> dict[str, list[str]]:
    """The parameters of an authorization request."""
    assert isinstance(found, Departure)
    address = urlsplit(found.address.get_secret_value())
    assert (address.scheme, address.netloc, address.path) == ("https", "login.example.com", "/authorize")
    return parse_qs(address.query, strict_parsing=True)


def test_the_way_there_carries_what_the_request_says() -> None:
    assert query(departure()) == {
        "response_type": ["code"],
        "client_id": ["on-call-planner"],
        "redirect_uri": ["https://c.example/callback/team-a/calendar"],
        "scope": ["openid calendar.read calendar.write"],
        "state": [random_like("s")],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "code_challenge_method": ["S256"],
        "nonce": ["n-0S6_WzA2Mj"],
        "prompt": ["consent"],
    }


def test_scopes_are_separated_as_the_server_wants_them() -> None:
    assert query(departure(scopeSeparator="Comma"))["scope"] == ["openid,calendar.read,calendar.write"]


def test_without_a_challenge_nobody_is_sent_off() -> None:
    assert departure({"challenge": None}) is Notice.UNREADY


def test_where_pkce_is_disabled_no_challenge_is_sent() -> None:
    assert "code_challenge" not in query(departure(pkce="Disabled"))


def test_an_address_with_a_state_shows_in_no_text() -> None:
    assert random_like("s") not in repr(departure())


FORGE = Preset.model_validate(
    {
        "displayName": "Forge",
        "issuer": "https://login.example.com",
        "pkce": "Disabled",
        "scopeSeparator": "Comma",
        "authorizationParameters": {"access_type": "offline"},
        "scopeDescriptions": {"openid": "Know who you are", "calendar.read": "Read your calendars"},
        "sources": [{"title": "A page", "read": date(2026, 11, 21)}],
    }
)


def forge(**consent: Any) -> OAuthConnector:
    """The connector with a preset in the place of its issuer, and with no words of its own but these."""
    body = connector()
    body["spec"] = {"provider": "forge", "clientID": "on-call-planner", "consent": {"link": "Status", **consent}}
    return OAuthConnector.read(body)


def judge_forge(known: OAuthConnector, presets: Mapping[str, Preset]) -> Page:
    """The page of a link of that connector."""
    grant_ = UserGrant.read(grant(consentRequests=[asked()]))
    entry = find_request(grant_, LINK)
    assert entry is not None
    return judge(grant_, entry, known, now=NOW, look=0, presets=presets)


@pytest.mark.parametrize(
    ("consent", "name", "words"),
    [
        pytest.param({}, "Forge", ("Know who you are", "Read your calendars", None), id="the preset's"),
        pytest.param(
            {"displayName": "Ours", "scopeDescriptions": {"calendar.read": "Look", "calendar.write": "Change"}},
            "Ours",
            ("Know who you are", "Look", "Change"),
            id="the connector's first",
        ),
    ],
)
def test_the_question_is_put_in_the_words_of_the_preset(consent: dict[str, Any], name: str, words: tuple[str | None, ...]) -> None:
    page = judge_forge(forge(**consent), {"forge": FORGE})
    assert isinstance(page, Question)
    assert page.server == Server(name, "login.example.com")
    assert tuple(scope.description for scope in page.scopes) == words


def test_a_preset_that_only_the_controller_knows_yet_is_waited_for() -> None:
    assert judge_forge(forge(), {}) is Notice.UNREADY


def test_the_way_there_is_as_the_preset_has_it() -> None:
    entry = find_request(UserGrant.read(grant(consentRequests=[asked()])), LINK)
    assert entry is not None
    redirect_uri = "https://c.example/callback/team-a/calendar"
    asked_for = query(depart(entry, forge(), redirect_uri=redirect_uri, state=SecretStr(random_like("s")), presets={"forge": FORGE}))
    assert asked_for["access_type"] == ["offline"]
    assert asked_for["scope"] == ["openid,calendar.read,calendar.write"]
    assert "code_challenge" not in asked_for
