"""The sealed Secret: what is written is what is read, and it shows nothing."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from grantkeeper.choices import RequestState
from grantkeeper.core.records import Attempt, Claim, Delivery, Handled, Holder, Meta, Sealed, Spending, read_sealed, write_sealed
from grantkeeper.core.requests import HISTORY, ConsentRequest, add, close, expire, find_open
from grantkeeper.core.tokens import TokenSet, write_payload

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLAIM = Claim(
    attempt="a1", holder=Holder(pod="p", boot="b"), spending=Spending.REFRESH_TOKEN, hash="f" * 64, generation=3, not_before_retry=NOW
)
WHOLE = Sealed(
    uid="11111111-1111-4111-8111-111111111111",
    namespace="team",
    name="alice",
    resource_version="7",
    annotations={"example.com/note": "kept", "grantkeeper.dev/grant": "team/alice"},
    tokenset="sealed",
    profile="sealed too",
    requests=("one", "two"),
    claim=CLAIM.model_copy(update={"set_aside": CLAIM}),
    outcome=Attempt(hash="f" * 64, reason="Refreshed", time=NOW, spec_generation=1),
    deliveries={"token": Delivery(id="d", uid="u")},
    handled=Handled(connect=("a" * 64,), refresh="now", refreshed_at=NOW),
    meta=Meta(generation=3, attempt="a0", obtained_at=NOW, expires_at=NOW + timedelta(hours=1), kid="k"),
)


@pytest.mark.parametrize(
    "sealed",
    [
        pytest.param(WHOLE, id="everything set"),
        pytest.param(
            Sealed(uid="u", namespace="n", name="g", resource_version="1", annotations={"grantkeeper.dev/grant": "n/g"}), id="nothing"
        ),
    ],
)
def test_what_is_written_is_read(sealed: Sealed) -> None:
    assert read_sealed(write_sealed(sealed, "operator")) == sealed


def test_a_new_sealed_secret_is_created_without_a_version() -> None:
    body = write_sealed(WHOLE.model_copy(update={"resource_version": None}), "operator")
    assert "resourceVersion" not in body["metadata"]
    assert body["type"] == "grantkeeper.dev/sealed"
    assert body["metadata"]["labels"]["grantkeeper.dev/kind"] == "sealed"


def test_any_other_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="not a sealed Secret"):
        read_sealed(write_sealed(WHOLE, "operator") | {"type": "Opaque"})


def test_a_claim_of_an_earlier_life_of_the_same_pod_is_told_apart() -> None:
    holder = Holder(pod="p", boot="now")
    assert Holder(pod="p", boot="before").is_a_life_of(holder)
    assert holder.is_a_life_of(holder)
    assert not Holder(pod="q", boot="before").is_a_life_of(holder)


def test_a_token_set_shows_itself_only_to_an_envelope() -> None:
    tokens = TokenSet.model_validate(
        {"access_token": "at-1", "refresh_token": "rt-1", "token_type": "Bearer", "obtained_at": 1767225600, "later": {"kept": True}}
    )
    assert TokenSet.model_validate_json(write_payload(tokens)) == tokens
    for shown in (repr(tokens), str(tokens), tokens.model_dump_json(), str(tokens.model_dump()), repr(tokens.lend(1))):
        assert "at-1" not in shown
        assert "rt-1" not in shown
    assert b'"later":{"kept":true}' in write_payload(tokens)


def request(number: int, state: RequestState = RequestState.OPEN) -> ConsentRequest:
    return ConsentRequest(
        hash=f"{number:064x}", id=SecretStr("i"), verifier=SecretStr("v"), nonce="n", scopes=(), expires_at=NOW, state=state
    )


def test_beyond_eight_requests_the_oldest_closed_one_goes() -> None:
    requests = tuple(request(n, RequestState.OPEN if n == 0 else RequestState.EXPIRED) for n in range(HISTORY))
    kept = add(requests, request(99))
    assert [r.hash for r in kept] == [request(n).hash for n in (0, 2, 3, 4, 5, 6, 7, 99)]


def test_a_request_that_ran_out_is_closed_and_forgets_what_could_answer_it() -> None:
    (closed,) = expire((request(1),), NOW, wanted=(), shows_links=True)
    assert (closed.state, closed.id, closed.verifier) == (RequestState.EXPIRED, None, None)
    assert find_open((request(1),), NOW) is None
    assert find_open((request(1),), NOW - timedelta(seconds=1)) == request(1)


def test_a_closed_request_says_why() -> None:
    assert close(request(1), RequestState.REFUSED, "ConsentDenied").reason == "ConsentDenied"


def test_nothing_in_a_sealed_secret_is_in_clear() -> None:
    body = write_sealed(WHOLE, "operator")
    assert set(body["data"]) == {"tokenset", "profile", "requests", "claim", "outcome", "deliveries", "handled", "meta"}
    assert base64.b64decode(body["data"]["tokenset"]) == b"sealed"
