"""What people are asked, as values: what is closed, what is kept, and what asks for a link."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from grantkeeper.choices import RequestState
from grantkeeper.core.requests import (
    CONNECT_ANNOTATION,
    HISTORY,
    SUPERSEDED,
    ConsentRequest,
    add,
    end_links,
    expire,
    find_open,
    find_shown,
    give_up,
    hash_id,
    read_wish,
    supersede,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HASH = hashlib.sha256(b"an id").hexdigest()


def request(number: int, *scopes: str, shown: bool = True, state: RequestState = RequestState.OPEN) -> ConsentRequest:
    return ConsentRequest(
        hash=f"{number:064x}",
        id=SecretStr("i") if shown else None,
        verifier=SecretStr("v"),
        nonce="n",
        scopes=scopes,
        expires_at=NOW + timedelta(minutes=1),
        state=state,
    )


@pytest.mark.parametrize(
    ("stated", "wish"),
    [
        pytest.param(HASH, HASH, id="a hash"),
        pytest.param(HASH.upper(), None, id="in capitals"),
        pytest.param(HASH[:-1], None, id="too short"),
        pytest.param(f"{HASH}\n", None, id="with a line's end"),
        pytest.param("", None, id="empty"),
    ],
)
def test_only_a_hash_asks_for_a_link(stated: str, wish: str | None) -> None:
    assert read_wish({CONNECT_ANNOTATION: stated, "another": HASH}) == wish


def test_no_annotation_asks_for_nothing() -> None:
    assert read_wish({}) is None


def test_a_wish_is_what_the_id_of_its_link_hashes_to() -> None:
    assert read_wish({CONNECT_ANNOTATION: hash_id(SecretStr("an id"))}) == HASH


OVER, LEFT = (RequestState.EXPIRED, None), (RequestState.OPEN, None)
REPLACED = (RequestState.EXPIRED, SUPERSEDED)


@pytest.mark.parametrize(
    ("asked", "wanted", "minutes", "shows_links", "expected"),
    [
        pytest.param(request(1, "read"), ("read",), 0, True, LEFT, id="as wanted, in time"),
        pytest.param(request(1, "read"), ("read",), 1, True, OVER, id="not answered in time"),
        pytest.param(request(1, "read"), ("read", "write"), 0, True, LEFT, id="less than wanted: good until the wider one opens"),
        pytest.param(request(1, "read", "write"), ("read",), 0, True, REPLACED, id="more than wanted: nobody consents to that"),
        pytest.param(request(1, "read"), ("write",), 0, True, REPLACED, id="something else than wanted"),
        pytest.param(request(1, "read"), ("read",), 0, False, REPLACED, id="a link that no status shows any more"),
        pytest.param(request(1, "read", shown=False), ("read",), 0, False, LEFT, id="a link that no status ever showed"),
        pytest.param(
            request(1, "more", state=RequestState.ANSWERED), (), 9, False, (RequestState.ANSWERED, None), id="answered: out of reach"
        ),
    ],
)
def test_what_is_closed(
    asked: ConsentRequest, wanted: tuple[str, ...], minutes: int, shows_links: bool, expected: tuple[RequestState, str | None]
) -> None:
    (after,) = expire((asked,), NOW + timedelta(minutes=minutes), wanted=wanted, shows_links=shows_links)
    assert (after.state, after.reason) == expected
    assert (after.verifier is None) is (expected in {OVER, REPLACED})


def test_a_wider_request_takes_the_place_of_those_that_ask_for_less() -> None:
    requests = (request(1, "read"), request(2, "read", "write"), request(3, "read", state=RequestState.GRANTED))
    after = supersede(requests, ("write", "read"))
    assert [(r.state, r.reason) for r in after] == [REPLACED, LEFT, (RequestState.GRANTED, None)]


def test_a_consent_ends_the_links_that_are_shown_for_it() -> None:
    requests = (request(1, "read"), request(2, "read", "write"), request(3, "read", shown=False), request(4, state=RequestState.ANSWERED))
    after = end_links(requests, request(5, "read", state=RequestState.ANSWERED))
    assert [(r.state, r.reason) for r in after] == [REPLACED, LEFT, LEFT, (RequestState.ANSWERED, None)]


def test_a_link_is_shown_though_a_newer_one_is_somebodys_own() -> None:
    requests = (request(1), request(2), request(3, shown=False))
    assert find_shown(requests, NOW) == requests[1]
    assert find_open(requests, NOW) == requests[2]
    assert find_shown(requests[2:], NOW) is None


def test_when_eight_are_open_the_oldest_makes_room() -> None:
    kept = add([request(n) for n in range(HISTORY)], request(99))
    assert [r.hash for r in kept] == [request(n).hash for n in (1, 2, 3, 4, 5, 6, 7, 99)]


def test_a_request_whose_code_nobody_redeems_any_more_is_given_up() -> None:
    requests = (request(1, "read", state=RequestState.ANSWERED), request(2, "read", state=RequestState.ANSWERED), request(3, "read"))
    after = give_up(requests, requests[1].hash)
    assert [(r.state, r.reason) for r in after] == [(RequestState.REFUSED, "ExchangeFailed"), (RequestState.ANSWERED, None), LEFT]
