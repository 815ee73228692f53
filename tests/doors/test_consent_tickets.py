"""The cookie that ties an answer to the browser that asked."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie

import pytest
from pydantic import SecretStr
from starlette.responses import Response

from doors.house import ID, random_like
from grantkeeper.consent.addresses import Link
from grantkeeper.consent.tickets import Ticket, Tickets

STATE = SecretStr(random_like("a state"))
LINK = Link("team-a", "calendar-alice", SecretStr(ID))


def cookie(tickets: Tickets) -> Morsel[str]:
    """The one cookie that is set when a ticket is handed out."""
    response = Response()
    tickets.hand_out(Ticket(LINK, STATE), response)
    (morsel,) = SimpleCookie(response.headers["set-cookie"]).values()
    return morsel


def test_over_https_the_cookie_is_bound_to_this_host() -> None:
    morsel = cookie(Tickets(secure=True))
    assert morsel.key.startswith("__Host-consent-")
    assert morsel["secure"] is True
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "lax"
    assert morsel["path"] == "/"
    assert morsel["domain"] == ""
    assert morsel["max-age"] == "1800"


def test_over_http_on_a_loopback_host_it_goes_without_what_browsers_refuse_there() -> None:
    morsel = cookie(Tickets(secure=False))
    assert morsel.key.startswith("consent-")
    assert not morsel["secure"]
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "lax"
    assert morsel["path"] == "/"


def test_it_holds_the_link_and_the_state_and_its_name_tells_neither() -> None:
    morsel = cookie(Tickets(secure=True))
    assert morsel.value == f"team-a:calendar-alice:{ID}:{STATE.get_secret_value()}"
    assert STATE.get_secret_value() not in morsel.key
    assert morsel.key != Tickets(secure=True).name(SecretStr(random_like("another state")))


def test_it_comes_back_as_it_went() -> None:
    morsel = cookie(Tickets(secure=True))
    assert Tickets(secure=True).read({morsel.key: morsel.value}, STATE) == Ticket(LINK, STATE)


def test_taking_it_back_overwrites_it_with_the_same_attributes() -> None:
    response = Response()
    Tickets(secure=True).take_back(STATE, response)
    (morsel,) = SimpleCookie(response.headers["set-cookie"]).values()
    assert morsel.key == cookie(Tickets(secure=True)).key
    assert (morsel.value, morsel["max-age"], morsel["path"], morsel["secure"]) == ("", "0", "/", True)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no cookie"),
        pytest.param("", id="an empty one"),
        pytest.param(f"team-a:calendar-alice:{ID}", id="no state in it"),
        pytest.param(f"team-a:calendar-alice:{ID}:{random_like('another state')}", id="another state in it"),
        pytest.param(f"team-a:calendar-alice:{ID}:{STATE.get_secret_value()}:more", id="more in it"),
        pytest.param(f"TEAM:calendar-alice:{ID}:{STATE.get_secret_value()}", id="no namespace in it"),
        pytest.param(f"team-a:../x:{ID}:{STATE.get_secret_value()}", id="no name in it"),
        pytest.param(f"team-a:calendar-alice:short:{STATE.get_secret_value()}", id="no id in it"),
        pytest.param(f"team-a:calendar-alice:{ID}:é{STATE.get_secret_value()[1:]}", id="a letter beyond ASCII in it"),
    ],
)
def test_a_cookie_that_is_not_the_one_handed_out_is_no_ticket(value: str | None) -> None:
    tickets = Tickets(secure=True)
    cookies = {} if value is None else {tickets.name(STATE): value}
    assert tickets.read(cookies, STATE) is None


def test_a_cookie_without_the_prefix_is_not_taken_over_https() -> None:
    planted = cookie(Tickets(secure=False))
    assert Tickets(secure=True).read({planted.key: planted.value}, STATE) is None


def test_a_ticket_shows_neither_id_nor_state() -> None:
    text = repr(Ticket(LINK, STATE))
    assert ID not in text
    assert STATE.get_secret_value() not in text
