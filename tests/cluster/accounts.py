"""The two accounts of a release of their own, with tokens, and the objects that they try their rights on.

Every call is a dry run: authorization and admission judge it as any other and nothing changes, so no test needs another.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from contracts.chart import render
from parts.controlplane import ControlPlane

Object = dict[str, Any]

RELEASE = "rights-grantkeeper"
HOME = "rights"
TENANT = "rights-tenant"
EXCESS = "rights-excess"
"""A namespace in which somebody has bound `consent` to more than the chart does."""

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
LABELS = {"grantkeeper.dev/kind": "delivered", "app.kubernetes.io/managed-by": "grantkeeper"}
OWNER = {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": "UserGrant", "name": "alice", "uid": "of-no-object"}
TOKEN_TYPE = "kubernetes.io/service-account-token"
TOKEN_OF = {"kubernetes.io/service-account.name": "default"}

API = f"/apis/grantkeeper.dev/v1alpha1/namespaces/{TENANT}"
GRANT = f"{API}/usergrants/alice"
CONNECTOR = f"{API}/oauthconnectors/git"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API. With `changes`, the object is read, changed so (its type, or its metadata) and put back."""

    method: str
    path: str
    body: Object | None = None
    changes: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accounts:
    """A client of the API for each account.

    `controller` and `consent`; the administrator, `admin`; of the tenant, `nobody` without rights, `editor` who may change grants,
    and `asker` and `asker-for-alice` who may besides ask for links, of all grants or of that one.
    """

    clients: Mapping[str, httpx.Client]

    def call(self, account: str, call: Call) -> httpx.Response:
        """Let an account try this; nothing is written."""
        return self.clients[account].request(
            call.method,
            call.path,
            params=None if call.method == "GET" else {"dryRun": "All"},
            json=self._changed(call) if call.changes else call.body,
            headers={"Content-Type": "application/merge-patch+json"} if call.method == "PATCH" else {},
        )

    def _changed(self, call: Call) -> Object:
        body = self.clients["admin"].get(call.path).json()
        metadata = {key: value for key, value in call.changes.items() if key != "type"}
        kind = {"type": call.changes["type"]} if "type" in call.changes else {}
        return {**body, **kind, "metadata": {**body["metadata"], **metadata}}


def secret(name: str, /, kind: str = "Opaque", data: Mapping[str, str] | None = None, **metadata: Any) -> Object:
    """A Secret of this type."""
    values = {key: base64.b64encode(value.encode()).decode() for key, value in (data or {}).items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, **metadata}, "data": values}


def answer(number: int = 2, kind: str = "grantkeeper.dev/answer", data: Mapping[str, str] | None = None, **metadata: Any) -> Object:
    """An answer as it should be, but for what is said here."""
    labels = {"grantkeeper.dev/kind": "answer"}
    return secret("", kind, data or {"code": "a-code"}, **{"name": f"answer-{HASH}-{number}", "labels": labels, **metadata})


def delivered(name: str = "new", kind: str = "Opaque", **metadata: Any) -> Object:
    """A delivered Secret as it should be, but for what is said here."""
    return secret(name, kind, {"access_token": "a-token"}, **{"labels": LABELS, "ownerReferences": [OWNER], **metadata})


def at(namespace: str, name: str = "", resource: str = "secrets") -> str:
    """The path of an object of the core group, or of all of them."""
    return f"/api/v1/namespaces/{namespace}/{resource}/{name}".rstrip("/")


def create(namespace: str, body: Object) -> Call:
    """Create a Secret."""
    return Call("POST", at(namespace), body)


def update(namespace: str, name: str, **changes: Any) -> Call:
    """Read a Secret, change it and put it back."""
    return Call("PUT", at(namespace, name), changes=changes)


def patch(path: str, body: Object | None = None) -> Call:
    """Patch any object."""
    return Call("PATCH", path, body or {"metadata": {"annotations": {"touched": "yes"}}})


def ask(value: str | None) -> Object:
    """What sets the annotation that asks for a link; None takes it away."""
    return {"metadata": {"annotations": {"grantkeeper.dev/connect": value}}}


def delete(path: str) -> Call:
    """Delete any object, or all of them."""
    return Call("DELETE", path)


def get(path: str) -> Call:
    """Read, list or watch."""
    return Call("GET", path)


@contextmanager
def prepare(control_plane: ControlPlane) -> Iterator[Accounts]:
    """Install the chart without its processes, under a name of its own, set the stage, and wait until the policies are in force."""
    chart = [manifest for manifest in render(release=RELEASE, namespace=HOME) if manifest["kind"] != "Deployment"]
    control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (HOME, TENANT, EXCESS)])
    control_plane.apply(chart)
    control_plane.kubectl("wait", "--for=condition=Established", "crd/usergrants.grantkeeper.dev", "crd/oauthconnectors.grantkeeper.dev")
    _set_the_stage(control_plane)
    tokens = {component: control_plane.token_of(HOME, f"{RELEASE}-{component}") for component in ("controller", "consent")}
    tokens["nobody"] = control_plane.token_of(TENANT, "default")
    tokens |= {account: control_plane.token_of(TENANT, account) for account in ("editor", "asker", "asker-for-alice")}
    clients = {account: control_plane.client(token) for account, token in tokens.items()} | {"admin": control_plane.client()}
    accounts = Accounts(clients)
    wait_until(lambda: accounts.call("consent", create(HOME, answer(labels={}))).status_code == httpx.codes.FORBIDDEN)
    wait_until(lambda: accounts.call("controller", create(HOME, secret("new"))).status_code == httpx.codes.FORBIDDEN)
    wait_until(lambda: accounts.call("editor", patch(GRANT, ask(HASH))).status_code == httpx.codes.FORBIDDEN)
    yield accounts
    for client in clients.values():
        client.close()
    control_plane.kubectl("delete", "namespace", HOME, TENANT, EXCESS, "--wait=false")


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again until it holds: the API server follows what was written within moments."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.05)


def _set_the_stage(control_plane: ControlPlane) -> None:
    alice = _of_ours("UserGrant", "alice", {"connectorRef": {"name": "git"}, "user": "alice@example.com"})
    linked = {**alice, "metadata": {"name": "linked", **ask(HASH)["metadata"]}}
    _apply(control_plane, TENANT, alice, linked, *_ACCOUNTS_OF_THE_TENANT)
    # An owner that does not exist would have the garbage collector take the Secrets away.
    owners = [{**OWNER, "uid": control_plane.kubectl("get", "usergrant", "alice", "-n", TENANT, "-o", "jsonpath={.metadata.uid}")}]
    _apply(
        control_plane,
        TENANT,
        _of_ours("OAuthConnector", "git", _PUBLIC_CLIENT),
        delivered("delivered", ownerReferences=owners),
        delivered("owned", ownerReferences=owners, labels={}),
        delivered("labelled", ownerReferences=[]),
        secret("database", data={"password": "not-ours"}),
        secret("robot", TOKEN_TYPE, annotations=TOKEN_OF),
    )
    _apply(
        control_plane,
        HOME,
        secret("sealed", "grantkeeper.dev/sealed"),
        secret("keyring", "grantkeeper.dev/keyring"),
        secret("foreign"),
        answer(1),
    )
    _apply(control_plane, EXCESS, answer(1), _EVERY_RIGHT)


_PUBLIC_CLIENT = {
    "issuer": "https://login.example.com",
    "clientID": "my-app",
    "clientAuthentication": "None",
    "consent": {"link": "Status"},
}
_EVERY_RIGHT = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "excess"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": f"{RELEASE}-consent", "namespace": HOME}],
}
_CHANGES_GRANTS = {
    "apiGroups": ["grantkeeper.dev"],
    "resources": ["usergrants"],
    "verbs": ["get", "list", "create", "update", "patch"],
}
_ASKS_FOR_LINKS = {"apiGroups": ["grantkeeper.dev"], "resources": ["usergrants/consent"], "verbs": ["create"]}


def _account(name: str, *rules: Object) -> tuple[Object, ...]:
    """A ServiceAccount of the tenant, with these rights there."""
    rbac = "rbac.authorization.k8s.io"
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name}, "rules": list(rules)},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": TENANT}],
        },
    )


_ACCOUNTS_OF_THE_TENANT = (
    *_account("editor", _CHANGES_GRANTS),
    *_account("asker", _CHANGES_GRANTS, _ASKS_FOR_LINKS),
    *_account("asker-for-alice", _CHANGES_GRANTS, {**_ASKS_FOR_LINKS, "resourceNames": ["alice"]}),
)


def _of_ours(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _apply(control_plane: ControlPlane, namespace: str, *manifests: Object) -> None:
    control_plane.apply({**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}} for manifest in manifests)
