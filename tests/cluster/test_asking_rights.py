"""Who may ask for a consent link, on the real API server: the right, the form, and every way in which the annotation can be set."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from cluster.accounts import API, GRANT, HASH, HOME, TENANT, Accounts, Call, Object, ask, patch
from parts import PartFailed
from parts.controlplane import ControlPlane

LINKED = f"{API}/usergrants/linked"
ANOTHER = "0" * 64
NEEDED = "one must have the right to create usergrants/consent"
FORMAT = "64 digits in lower-case hexadecimal"


def grant(name: str = "new", value: str | None = None, **metadata: Any) -> Object:
    """A grant that asks for a link."""
    annotations = {} if value is None else ask(value)["metadata"]
    return {
        "apiVersion": "grantkeeper.dev/v1alpha1",
        "kind": "UserGrant",
        "metadata": {"name": name, **annotations, **metadata},
        "spec": {"connectorRef": {"name": "git"}, "user": "alice@example.com"},
    }


def create(body: Object) -> Call:
    """Create a grant."""
    return Call("POST", f"{API}/usergrants", body)


@pytest.mark.parametrize(
    ("account", "call"),
    [
        pytest.param("asker", patch(GRANT, ask(HASH)), id="asking"),
        pytest.param("asker", patch(LINKED, ask(ANOTHER)), id="asking again"),
        pytest.param("asker", create(grant("new", HASH)), id="asking with a new grant"),
        pytest.param("asker", create(grant("", HASH, generateName="new-")), id="asking with a new grant whose name is made up"),
        pytest.param("asker-for-alice", patch(GRANT, ask(HASH)), id="asking for the one grant that one may"),
        pytest.param("admin", patch(GRANT, ask(HASH)), id="asking as the administrator"),
        pytest.param("editor", create(grant()), id="a new grant that asks for nothing"),
        pytest.param("editor", patch(GRANT, {"metadata": {"annotations": {"a": "b"}}}), id="another annotation"),
        pytest.param("editor", patch(GRANT, {"spec": {"purpose": "Another"}}), id="a change of the spec"),
        pytest.param("editor", patch(LINKED, {"spec": {"purpose": "Another"}}), id="a change of one that asks"),
        pytest.param("editor", patch(LINKED, ask(HASH)), id="the same once more, as who applies a manifest again"),
        pytest.param("editor", patch(LINKED, ask(None)), id="taking it away"),
        pytest.param(
            "controller", patch(LINKED, {"metadata": {"finalizers": ["grantkeeper.dev/keeper"]}}), id="the controller's finalizer"
        ),
        pytest.param("controller", patch(f"{LINKED}/status", {"status": {"tokenState": "Active"}}), id="the controller's report"),
    ],
)
def test_this_may_be_done(accounts: Accounts, account: str, call: Call) -> None:
    response = accounts.call(account, call)
    assert response.is_success, response.text


@pytest.mark.parametrize(
    ("account", "call", "message"),
    [
        pytest.param(
            "editor", patch(GRANT, ask(HASH)), f"{NEEDED}, of the API group grantkeeper.dev, for alice in", id="without the right"
        ),
        pytest.param("editor", patch(LINKED, ask(ANOTHER)), NEEDED, id="changing what another asked for"),
        pytest.param("editor", create(grant("new", HASH)), NEEDED, id="asking with a new grant"),
        pytest.param("editor", Call("PUT", GRANT, changes=ask(HASH)["metadata"]), NEEDED, id="putting a grant back with it"),
        pytest.param("asker-for-alice", patch(LINKED, ask(ANOTHER)), f"for linked in the namespace {TENANT}", id="of another grant"),
        pytest.param("controller", patch(GRANT, ask(HASH)), NEEDED, id="the controller itself"),
        *(
            pytest.param("asker", patch(GRANT, ask(value)), FORMAT, id=what)
            for what, value in {
                "capitals": HASH.upper(),
                "too short": HASH[:-1],
                "too long": f"{HASH}0",
                "a line's end": f"{HASH}\n",
                "an id, not its hash": "A" * 43,
                "nothing in it": "",
            }.items()
        ),
        pytest.param("admin", create(grant("new", "please")), FORMAT, id="a new grant, by the administrator"),
    ],
)
def test_this_is_refused_with_a_sentence(accounts: Accounts, account: str, call: Call, message: str) -> None:
    response = accounts.call(account, call)
    assert response.status_code in {httpx.codes.FORBIDDEN, httpx.codes.UNPROCESSABLE_ENTITY}, response.text
    assert message in response.json()["message"]


def test_the_way_of_the_status_does_not_lead_around_it(accounts: Accounts) -> None:
    call = patch(f"{GRANT}/status", {**ask(HASH), "status": {"tokenState": "Active"}})
    answer = accounts.call("controller", call)
    assert answer.is_success
    assert "grantkeeper.dev/connect" not in answer.json()["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("annotate", "usergrant", "alice", f"grantkeeper.dev/connect={HASH}"), id="annotate"),
        pytest.param(("apply", "-f", "-"), id="apply"),
        pytest.param(("apply", "-f", "-", "--server-side"), id="apply on the server's side"),
        pytest.param(("apply", "-f", "-", "--server-side", "--force-conflicts"), id="apply by force"),
        pytest.param(("replace", "-f", "-"), id="replace"),
        pytest.param(
            (
                "patch",
                "usergrant",
                "alice",
                "--type=json",
                "--patch",
                json.dumps([{"op": "add", "path": "/metadata/annotations", "value": {"grantkeeper.dev/connect": HASH}}]),
            ),
            id="patch",
        ),
    ],
)
@pytest.mark.usefixtures("accounts")
def test_kubectl_asks_for_those_who_may_and_says_why_to_those_who_may_not(control_plane: ControlPlane, arguments: tuple[str, ...]) -> None:
    manifest = json.dumps(grant("alice", HASH))

    def run(account: str) -> str:
        who = f"--as=system:serviceaccount:{TENANT}:{account}"
        return control_plane.kubectl(*arguments, who, "-n", TENANT, "--dry-run=server", stdin=manifest)

    assert "alice" in run("asker")
    with pytest.raises(PartFailed, match=NEEDED):
        run("editor")


def test_no_account_of_the_release_may_ask(accounts: Accounts) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "group": "grantkeeper.dev", "resource": "usergrants", "subresource": "consent", "verb": "create", "namespace": HOME,
            }
        },
    }  # fmt: skip
    for account in ("controller", "consent"):
        answer = accounts.clients[account].post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
        assert answer.json()["status"]["allowed"] is False
