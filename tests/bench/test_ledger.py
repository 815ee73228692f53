from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from bench.ledger import Entry, Ledger
from bench.tokens import Turn, access_token, read_access_token, read_refresh_token, refresh_token


def _form(turn: Turn) -> str:
    return urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token(turn)})


def test_a_refresh_token_is_good_once() -> None:
    ledger = Ledger(lifetime=60)
    status, body, spent = ledger.answer(_form(Turn(3, 0)))
    assert (status, spent, body["expires_in"]) == (200, Turn(3, 0), 60)
    assert (read_access_token(body["access_token"]), read_refresh_token(body["refresh_token"])) == (Turn(3, 1), Turn(3, 1))
    assert ledger.answer(_form(Turn(3, 0))) == (400, {"error": "invalid_grant"}, None)
    assert ledger.twice == [Turn(3, 0)]


def test_its_successor_is_good() -> None:
    ledger = Ledger(lifetime=60)
    ledger.answer(_form(Turn(3, 0)))
    assert ledger.answer(_form(Turn(3, 1)))[0] == 200
    assert ledger.twice == []


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("", id="nothing"),
        pytest.param("grant_type=refresh_token&refresh_token=", id="no token"),
        pytest.param(urlencode({"grant_type": "refresh_token", "refresh_token": access_token(Turn(3, 0))}), id="an access token"),
        pytest.param(urlencode({"grant_type": "authorization_code", "refresh_token": refresh_token(Turn(3, 0))}), id="another grant type"),
    ],
)
def test_anything_else_spends_nothing(form: str) -> None:
    ledger = Ledger(lifetime=60)
    assert ledger.answer(form)[0] == 400
    assert ledger.answer(_form(Turn(3, 0)))[0] == 200


def test_the_ledger_is_told_from_where_somebody_has_read() -> None:
    ledger = Ledger(lifetime=60)
    for number in range(3):
        ledger.note_sent(Turn(1, number), float(number))
    told = json.loads(ledger.dump(since=1))
    assert [Entry(*entry) for entry in told["entries"]] == [Entry(1, 1, 1.0), Entry(1, 2, 2.0)]
    assert told["twice"] == 0
