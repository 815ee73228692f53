"""Delivered Secrets: what is in them, and whose they are."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from grantkeeper.core.facts import Copy
from grantkeeper.core.records import Delivery
from grantkeeper.core.rendering import (
    bring_up_to_date,
    compare,
    digest,
    find_surplus,
    find_template_fault,
    read_copy,
    render,
    replace_copy,
    write_copy,
)
from grantkeeper.core.tokens import AccessToken
from grantkeeper.resources import SecretSpec, UserGrant

TOKEN = AccessToken(
    value=SecretStr("at-1"), token_type="Bearer", scope="read write", expires_at=datetime(2026, 11, 21, 12, tzinfo=UTC), generation=3
)


def grant_with(*secrets: dict[str, Any]) -> UserGrant:
    spec = {"connectorRef": {"name": "calendar"}, "user": "alice@example.com", "secrets": list(secrets)}
    return UserGrant.read({"metadata": {"name": "alice", "namespace": "team", "uid": "g", "resourceVersion": "1"}, "spec": spec})


GRANT = grant_with()
SPEC = SecretSpec(name="token")
WANTED = write_copy(GRANT, SPEC, TOKEN, "d1")
MEMBERS = {"access_token": "at-1", "token_type": "Bearer", "expires_at": "2026-11-21T12:00:00Z", "scope": "read write"}
DRESSED = SecretSpec(name="token", labels={"team": "reports"}, annotations={"note": "n"})


def stored(wanted: dict[str, Any] = WANTED, **metadata: Any) -> dict[str, Any]:
    """A Secret as the API server keeps it."""
    secret = deepcopy(wanted)
    secret["metadata"] |= {"uid": "s", "resourceVersion": "5", **metadata}
    return secret


def files(token: AccessToken = TOKEN, **spec: Any) -> dict[str, str]:
    return render(SecretSpec(name="token", **spec), token, user="alice@example.com")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, MEMBERS, id="Token unless another is asked for"),
        pytest.param({"format": "Header"}, {"authorization": "Bearer at-1", "header": "Authorization: Bearer at-1\n"}, id="Header"),
        pytest.param({"format": "Env", "env": "GIT_TOKEN"}, {"GIT_TOKEN": "at-1"}, id="Env: named after the variable"),
        pytest.param(
            {"format": "Env", "env": "T", "templates": {".env": "T=[[ access_token ]]\n"}},
            {"T": "at-1", ".env": "T=at-1\n"},
            id="a template is one file more",
        ),
        pytest.param(
            {"templates": {"scope": "[[ user | urlencode ]] [[ account ]]"}},
            {**MEMBERS, "scope": "alice%40example.com 42"},
            id="a template takes the place of the format's file",
        ),
    ],
)
def test_files(spec: dict[str, Any], expected: dict[str, str]) -> None:
    assert files(TOKEN.model_copy(update={"account": "42"}), **spec) == expected


def test_format_json() -> None:
    assert json.loads(files(format="JSON").pop("token.json")) == MEMBERS


@pytest.mark.parametrize(
    ("token_type", "header"),
    [
        pytest.param("bearer", "Bearer at-1", id="some servers write it small, some readers take it only as the RFC writes it"),
        pytest.param("DPoP", "DPoP at-1", id="another type stays"),
    ],
)
def test_token_type_in_a_header(token_type: str, header: str) -> None:
    assert files(TOKEN.model_copy(update={"token_type": token_type}), format="Header")["authorization"] == header


def test_a_token_that_never_expires_and_names_no_scope_leaves_both_out() -> None:
    bare = TOKEN.model_copy(update={"expires_at": None, "scope": None})
    assert set(files(bare)) == {"access_token", "token_type"}
    assert set(json.loads(files(bare, format="JSON")["token.json"])) == {"access_token", "token_type"}
    assert files(bare, templates={"t": "[[ expires_at ]][[ scope ]][[ account ]]"})["t"] == ""
    assert "grantkeeper.dev/expires-at" not in write_copy(GRANT, SPEC, bare, "d1")["metadata"]["annotations"]


def test_a_fault_names_the_secret_and_the_template() -> None:
    good, bad = {"name": "a", "templates": {"x": "[[ scope ]]"}}, {"name": "b", "templates": {"x": "[[ scope ]]", "y": "[["}}
    assert find_template_fault(grant_with(good)) == ""
    assert find_template_fault(grant_with(good, bad)) == "spec.secrets[b].templates[y]: [[ is not closed; a placeholder ends with ]]"


def test_labels_and_annotations_of_ours_cannot_be_overridden() -> None:
    ours = {**WANTED["metadata"]["labels"], **WANTED["metadata"]["annotations"]}
    greedy = SecretSpec(name="token", labels=dict.fromkeys(ours, "x"), annotations=dict.fromkeys(ours, "x"))
    metadata = write_copy(GRANT, greedy, TOKEN, "d1")["metadata"]
    assert WANTED["metadata"]["labels"].items() <= metadata["labels"].items()
    assert WANTED["metadata"]["annotations"].items() <= metadata["annotations"].items()


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
        pytest.param(stored(write_copy(GRANT, DRESSED, TOKEN, "d1")), Delivery(id="d1", uid="s"), Copy.STALE, id="asked for no more"),
    ],
)
def test_compare(secret: dict[str, Any] | None, delivery: Delivery | None, expected: Copy) -> None:
    assert compare(read_copy(secret) if secret else None, delivery, WANTED, digest(WANTED)) is expected


def test_what_the_grant_asks_for_is_held_to() -> None:
    delivery, wanted = Delivery(id="d1", uid="s"), write_copy(GRANT, DRESSED, TOKEN, "d1")
    assert compare(read_copy(stored(wanted)), delivery, wanted, digest(wanted)) is Copy.CURRENT
    assert compare(read_copy(stored()), delivery, wanted, digest(wanted)) is Copy.STALE
    for part in ("labels", "annotations"):
        changed = stored(wanted)
        changed["metadata"][part] = {**wanted["metadata"][part], "team": "other", "note": "other"}
        assert compare(read_copy(changed), delivery, wanted, digest(wanted)) is Copy.STALE


def test_what_others_added_stays_and_what_the_grant_asks_for_no_more_goes() -> None:
    was = stored(write_copy(GRANT, DRESSED, TOKEN, "d1"))
    was["metadata"]["labels"]["theirs"] = "x"
    was["metadata"]["annotations"]["their-note"] = "y"
    replaced = replace_copy(read_copy(was), WANTED)["metadata"]
    assert replaced["labels"] == {**WANTED["metadata"]["labels"], "theirs": "x"}
    assert replaced["annotations"] == {**WANTED["metadata"]["annotations"], "their-note": "y"}
    assert replaced["resourceVersion"] == "5"


@pytest.mark.parametrize(
    ("delivery", "copies", "wanted", "surplus", "recorded"),
    [
        pytest.param(Delivery(id="d1"), True, True, False, Delivery(id="d1", uid="s"), id="an id is bound to the Secret that bears it"),
        pytest.param(Delivery(id="d2"), True, True, False, Delivery(id="d2"), id="another id is not"),
        pytest.param(Delivery(id="d1", uid="1st"), True, True, False, Delivery(id="d1", uid="1st"), id="an id is bound once"),
        pytest.param(Delivery(id="d1"), False, True, False, Delivery(id="d1"), id="not there yet"),
        pytest.param(Delivery(id="d1", uid="s"), True, False, True, Delivery(id="d1", uid="s"), id="not wanted, and there: it has to go"),
        pytest.param(Delivery(id="d1"), True, False, True, Delivery(id="d1", uid="s"), id="not wanted, there, and not bound yet"),
        pytest.param(Delivery(id="d1", uid="s"), False, False, False, None, id="not wanted, and gone: forgotten"),
        pytest.param(Delivery(id="d1", uid="1st"), True, False, False, None, id="not wanted, and now somebody else's"),
    ],
)
def test_deliveries(delivery: Delivery, copies: bool, wanted: bool, surplus: bool, recorded: Delivery | None) -> None:
    given = {"token": delivery}, {"token": read_copy(stored())} if copies else {}, ["token"] if wanted else ["other"]
    assert bool(find_surplus(*given)) is surplus
    assert bring_up_to_date(*given).get("token") == recorded
