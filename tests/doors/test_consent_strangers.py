"""Whatever strangers write into grants and connectors stays text on every page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from doors.apiserver import Object
from doors.house import LINK, House, press, read

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}%(server)s\u202e"


def _set(*path: str | int) -> Callable[[Object, Object], None]:
    """Put the hostile text at one place of the grant, or, after "connector", of the connector."""

    def change(grant: Object, connector: Object) -> None:
        place: Any = connector if path[0] == "connector" else grant
        *steps, last = path[1:] if path[0] == "connector" else path
        for step in steps:
            place = place[step]
        place[last] = HOSTILE

    return change


def _describe(_: Object, connector: Object) -> None:
    connector["spec"]["consent"]["scopeDescriptions"] = {"calendar.read": HOSTILE}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_set("spec", "user"), id="user"),
        pytest.param(_set("spec", "purpose"), id="purpose"),
        pytest.param(_set("spec", "secrets", 0, "name"), id="name of a Secret"),
        pytest.param(_set("status", "consentRequests", 0, "scopes", 0), id="scope"),
        pytest.param(_set("status", "consentRequests", 0, "reason"), id="reason"),
        pytest.param(_set("status", "account", "subject"), id="account"),
        pytest.param(_set("status", "grantedScopes", 0), id="granted scope"),
        pytest.param(_set("connector", "spec", "consent", "displayName"), id="display name"),
        pytest.param(_set("connector", "status", "server", "issuer"), id="issuer"),
        pytest.param(_set("connector", "status", "server", "authorizationEndpoint"), id="authorization endpoint"),
        pytest.param(_set("connector", "spec", "clientID"), id="client id"),
        pytest.param(_describe, id="description of a scope"),
    ],
)
@pytest.mark.parametrize("state", ["Open", "Answered", "Granted", "Refused", "Going"])
async def test_what_strangers_write_stays_text(change: Callable[[Object, Object], None], state: str) -> None:
    house = House()
    grant, connector = house.server.grant(), house.server.connector()
    grant["status"].update(account={"subject": "alice"}, grantedScopes=["openid"])
    house.request.update(state="Open" if state == "Going" else state, reason="ConsentDenied")
    change(grant, connector)
    async with house.browser() as browser:
        response = await (browser.post(LINK, headers=press()) if state == "Going" else browser.get(LINK))
    page = read(response)
    assert not page.find_all(["script", "img"])
    assert not [tag for tag in page.find_all() for name in tag.attrs if name.startswith("on")]
    assert "<script" not in response.text
    for found in page.find_all(string=lambda text: HOSTILE[-10:] in text):
        assert HOSTILE in found, "what looks like a template or a placeholder is neither"
        assert found.find_parent(["bdi", "q", "title"]) is not None, "a text that turns directions must be kept apart"
