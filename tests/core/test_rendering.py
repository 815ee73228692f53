"""Delivered Secrets: what is in them, and whose they are."""

from __future__ import annotations

import base64
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from grantkeeper.core.facts import Copy
from grantkeeper.core.records import Delivery
from grantkeeper.core.rendering import bind, compare, read_copy, render, write_copy
from grantkeeper.core.tokens import AccessToken
from grantkeeper.resources import Format, UserGrant

TOKEN = AccessToken(
    value=SecretStr("at-1"), token_type="Bearer", scope="read write", expires_at=datetime(2026, 11, 21, 12, tzinfo=UTC), generation=3
)
GRANT = UserGrant.read(
    {
        "metadata": {"name": "alice", "namespace": "team", "uid": "g", "resourceVersion": "1"},
        "spec": {"connectorRef": {"name": "calendar"}, "user": "alice"},
    }
)
WANTED = write_copy(GRANT, "token", TOKEN, Format.TOKEN, "d1")


def stored(**metadata: Any) -> dict[str, Any]:
    """The wanted Secret as the API server keeps it."""
    secret = deepcopy(WANTED)
    secret["metadata"] |= {"uid": "s", "resourceVersion": "5", **metadata}
    return secret


def test_format_token() -> None:
    assert render(TOKEN, Format.TOKEN) == {
        "access_token": b"at-1",
        "token_type": b"Bearer",
        "expires_at": b"2026-11-21T12:00:00Z",
        "scope": b"read write",
    }


def test_a_token_that_never_expires_and_names_no_scope_leaves_both_out() -> None:
    bare = TOKEN.model_copy(update={"expires_at": None, "scope": None})
    assert set(render(bare, Format.TOKEN)) == {"access_token", "token_type"}
    assert "grantkeeper.dev/expires-at" not in write_copy(GRANT, "token", bare, Format.TOKEN, "d1")["metadata"]["annotations"]


def edited() -> dict[str, Any]:
    secret = stored()
    secret["data"]["access_token"] = base64.b64encode(b"forged").decode()
    return secret


def decorated() -> dict[str, Any]:
    secret = stored()
    secret["metadata"]["labels"] = {**secret["metadata"]["labels"], "team": "x"}
    secret["metadata"]["annotations"] = {**secret["metadata"]["annotations"], "note": "y"}
    return secret


@pytest.mark.parametrize(
    ("secret", "delivery", "expected"),
    [
        pytest.param(None, None, Copy.MISSING, id="not there"),
        pytest.param(stored(), Delivery(id="d1", uid="s"), Copy.CURRENT, id="ours by its uid, as wanted"),
        pytest.param(stored(), Delivery(id="d1"), Copy.CURRENT, id="ours by an id that is not bound yet"),
        pytest.param(stored(uid="other"), Delivery(id="d1", uid="s"), Copy.FOREIGN, id="the id copied into another Secret"),
        pytest.param(stored(), None, Copy.FOREIGN, id="nothing recorded: somebody's own, whatever it says of itself"),
        pytest.param(stored(), Delivery(id="d2"), Copy.FOREIGN, id="another id"),
        pytest.param(edited(), Delivery(id="d1", uid="s"), Copy.STALE, id="somebody changed it"),
        pytest.param(decorated(), Delivery(id="d1", uid="s"), Copy.CURRENT, id="labels and annotations of others are theirs"),
        pytest.param(stored(ownerReferences=[]), Delivery(id="d1", uid="s"), Copy.STALE, id="its owner was taken away"),
    ],
)
def test_compare(secret: dict[str, Any] | None, delivery: Delivery | None, expected: Copy) -> None:
    assert compare(read_copy(secret) if secret else None, delivery, WANTED) is expected


def test_what_others_added_is_remembered() -> None:
    copy = read_copy(decorated())
    assert (copy.labels, copy.annotations) == ({"team": "x"}, {"note": "y"})


def test_an_id_is_bound_to_the_secret_that_bears_it_once() -> None:
    copies = {"token": read_copy(stored())}
    assert bind({"token": Delivery(id="d1")}, copies) == {"token": Delivery(id="d1", uid="s")}
    assert bind({"token": Delivery(id="d2")}, copies) == {"token": Delivery(id="d2")}
    assert bind({"token": Delivery(id="d1", uid="first")}, copies) == {"token": Delivery(id="d1", uid="first")}
