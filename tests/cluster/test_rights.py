"""Each account's rights on the real API server: what it has to do works, everything else is refused, and it is told why."""

from __future__ import annotations

import httpx
import pytest

from cluster.accounts import (
    API,
    CONNECTOR,
    EXCESS,
    GRANT,
    HASH,
    HOME,
    LABELS,
    OWNER,
    TENANT,
    TOKEN_OF,
    TOKEN_TYPE,
    Accounts,
    Call,
    answer,
    at,
    create,
    delete,
    delivered,
    get,
    patch,
    secret,
    update,
)
from contracts.rights import AT_HOME, EVERYWHERE, Rights, collect, together

EVENT = {"metadata": {"name": "e", "namespace": TENANT}, "involvedObject": {"namespace": TENANT}}
LEASE = {"metadata": {"name": "leader"}}
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(create(HOME, answer(2)), id="create an answer"),
        pytest.param(create(HOME, answer(3, data={"code": "x" * 8188})), id="create an answer of 8 KiB"),
        pytest.param(get(GRANT), id="read a grant"),
        pytest.param(get(CONNECTOR), id="read a connector"),
    ],
)
def test_consent_may(accounts: Accounts, call: Call) -> None:
    response = accounts.call("consent", call)
    assert response.is_success, response.text


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(create(HOME, secret("new", "grantkeeper.dev/keyring")), id="create a keyring"),
        pytest.param(create(HOME, secret("new", "grantkeeper.dev/sealed")), id="create a sealed Secret"),
        pytest.param(create(HOME, secret("new", "grantkeeper.dev/recovered")), id="create a recovered Secret"),
        pytest.param(update(HOME, "sealed", labels={"a": "b"}), id="update a sealed Secret"),
        pytest.param(delete(at(HOME, "sealed")), id="delete a sealed Secret"),
        pytest.param(delete(at(HOME, f"answer-{HASH}-1")), id="delete an answer"),
        pytest.param(get("/api/v1/secrets?labelSelector=grantkeeper.dev/kind"), id="list the Secrets of all namespaces"),
        pytest.param(get(at(TENANT, "database")), id="read a client Secret"),
        pytest.param(create(TENANT, delivered()), id="deliver a Secret"),
        pytest.param(update(TENANT, "delivered", annotations={"grantkeeper.dev/generation": "2"}), id="update what it delivered"),
        pytest.param(delete(at(TENANT, "delivered")), id="delete what it delivered"),
        pytest.param(patch(GRANT, {"metadata": {"finalizers": ["grantkeeper.dev/keeper"]}}), id="set its finalizer"),
        pytest.param(patch(f"{GRANT}/status", {"status": {"tokenState": "Active"}}), id="report on a grant"),
        pytest.param(patch(f"{CONNECTOR}/status", {"status": {"observedGeneration": 1}}), id="report on a connector"),
        pytest.param(Call("POST", at(TENANT, resource="events"), EVENT), id="post an event"),
        pytest.param(get("/api/v1/namespaces/kube-system"), id="read a namespace"),
        pytest.param(Call("POST", LEASES, LEASE), id="create a Lease"),
    ],
)
def test_controller_may(accounts: Accounts, call: Call) -> None:
    response = accounts.call("controller", call)
    assert response.is_success, response.text


def no(verb: str) -> str:
    """What RBAC says."""
    return f'cannot {verb} resource "'


ONLY_CREATE = "consent may only create Secrets, and only in its own namespace"
ANSWERS = "consent may create only answers, of type grantkeeper.dev/answer"
NAMED = "an answer is named answer-<SHA-256 of the request's id>-<1 to 3>"
LABELLED = "an answer carries the label grantkeeper.dev/kind: answer and no other"
BARE = "an answer carries no annotations, owner references or finalizers"
SMALL = "an answer holds at most 8 KiB"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(get(at(HOME, "keyring")), no("get"), id="reading the keyring"),
        pytest.param(get(at(HOME, f"answer-{HASH}-1")), no("get"), id="reading an answer"),
        pytest.param(get(at(TENANT, "database")), no("get"), id="reading a tenant's Secret"),
        pytest.param(get(at(HOME)), no("list"), id="listing Secrets at home"),
        pytest.param(get("/api/v1/secrets"), no("list"), id="listing all Secrets"),
        pytest.param(get(at(HOME) + "?watch=true"), no("watch"), id="watching Secrets"),
        pytest.param(get(f"{API}/usergrants"), no("list"), id="listing grants"),
        pytest.param(patch(f"{GRANT}/status"), no("patch"), id="writing a grant's status"),
        pytest.param(update(HOME, f"answer-{HASH}-1", annotations={}), no("update"), id="updating an answer"),
        pytest.param(patch(at(HOME, f"answer-{HASH}-1")), no("patch"), id="patching an answer"),
        pytest.param(delete(at(HOME, f"answer-{HASH}-1")), no("delete"), id="deleting an answer"),
        pytest.param(delete(at(HOME)), no("deletecollection"), id="deleting all Secrets"),
        pytest.param(create(TENANT, answer()), no("create"), id="an answer in a tenant's namespace"),
        pytest.param(Call("POST", at(HOME, "default/token", "serviceaccounts"), {}), no("create"), id="asking for another's token"),
        pytest.param(Call("POST", at(HOME, resource="pods"), {}), no("create"), id="starting a Pod"),
        pytest.param(create(EXCESS, answer()), ONLY_CREATE, id="an answer where somebody gave it every right"),
        pytest.param(update(EXCESS, f"answer-{HASH}-1", immutable=True), ONLY_CREATE, id="an update where somebody gave it every right"),
        pytest.param(delete(at(EXCESS, f"answer-{HASH}-1")), ONLY_CREATE, id="a deletion where somebody gave it every right"),
        pytest.param(create(HOME, answer(kind="Opaque")), ANSWERS, id="a Secret of no type"),
        pytest.param(create(HOME, answer(kind="grantkeeper.dev/sealed")), ANSWERS, id="a sealed Secret"),
        pytest.param(create(HOME, answer(kind="grantkeeper.dev/keyring")), ANSWERS, id="a keyring"),
        pytest.param(create(HOME, answer(kind=TOKEN_TYPE, annotations=TOKEN_OF)), ANSWERS, id="another account's token"),
        pytest.param(create(HOME, answer(name="answer")), NAMED, id="a name without a hash"),
        pytest.param(create(HOME, answer(4)), NAMED, id="a fourth answer"),
        pytest.param(create(HOME, answer(name=f"answer-{HASH[:-1]}g-1")), NAMED, id="a hash that is none"),
        pytest.param(create(HOME, answer(name=f"an.answer-{HASH}-1")), NAMED, id="something before the name"),
        pytest.param(create(HOME, answer(name="", generateName=f"answer-{HASH}-")), NAMED, id="a generated name"),
        pytest.param(create(HOME, answer(labels={})), LABELLED, id="no label"),
        pytest.param(create(HOME, answer(labels={"grantkeeper.dev/kind": "sealed"})), LABELLED, id="another kind's label"),
        pytest.param(create(HOME, answer(labels={"grantkeeper.dev/kind": "answer", "a": "b"})), LABELLED, id="a second label"),
        pytest.param(create(HOME, answer(annotations={"a": "b"})), BARE, id="an annotation"),
        pytest.param(create(HOME, answer(ownerReferences=[OWNER])), BARE, id="an owner"),
        pytest.param(create(HOME, answer(finalizers=["example.com/stay"])), BARE, id="a finalizer"),
        pytest.param(create(HOME, answer(data={"code": "x" * 8189})), SMALL, id="a byte more than 8 KiB"),
        pytest.param(create(HOME, answer(data={f"{n:0>100}": "" for n in range(82)})), SMALL, id="more than 8 KiB of keys"),
        pytest.param(create(HOME, answer() | {"stringData": {"code": "x" * 8189}}), SMALL, id="more than 8 KiB in clear"),
    ],
)
def test_consent_is_refused(accounts: Accounts, call: Call, message: str) -> None:
    assert_refused(accounts.call("consent", call), message)


OUR_TYPES = "in its own namespace the controller may write only Secrets of a grantkeeper.dev/ type"
OPAQUE = "in other namespaces the controller may write only Secrets of type Opaque"
OUR_LABELS = "in other namespaces the controller may write only Secrets that carry, before and after, the labels"
OUR_OWNER = "in other namespaces the controller may write only Secrets that a UserGrant owns, before and after"
FIXED_TYPE = "type: Invalid value"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(create(HOME, secret("new", TOKEN_TYPE, annotations=TOKEN_OF)), OUR_TYPES, id="another account's token at home"),
        pytest.param(create(HOME, secret("new")), OUR_TYPES, id="a Secret of no type at home"),
        pytest.param(create(HOME, delivered()), OUR_TYPES, id="delivering at home"),
        pytest.param(update(HOME, "foreign", labels=LABELS), OUR_TYPES, id="updating another's Secret at home"),
        pytest.param(patch(at(HOME, "foreign")), OUR_TYPES, id="patching another's Secret at home"),
        pytest.param(delete(at(HOME, "foreign")), OUR_TYPES, id="deleting another's Secret at home"),
        pytest.param(delete(at(HOME)), OUR_TYPES, id="deleting all Secrets at home"),
        pytest.param(update(HOME, "sealed", type=TOKEN_TYPE), FIXED_TYPE, id="changing a type at home"),
        pytest.param(create(TENANT, delivered(kind=TOKEN_TYPE, annotations=TOKEN_OF)), OPAQUE, id="another account's token, delivered"),
        pytest.param(create("kube-system", delivered(kind=TOKEN_TYPE, annotations=TOKEN_OF)), OPAQUE, id="a system account's token"),
        pytest.param(create(TENANT, delivered(kind="grantkeeper.dev/sealed")), OPAQUE, id="a sealed Secret with a tenant"),
        pytest.param(create(TENANT, delivered(kind="helm.sh/release.v1")), OPAQUE, id="a type of somebody else's"),
        pytest.param(update(TENANT, "delivered", type=TOKEN_TYPE), FIXED_TYPE, id="changing the type of what it delivered"),
        pytest.param(create(TENANT, delivered(labels={})), OUR_LABELS, id="delivering without labels"),
        pytest.param(create(TENANT, delivered(labels={"grantkeeper.dev/kind": "delivered"})), OUR_LABELS, id="delivering with one label"),
        pytest.param(create(TENANT, delivered(labels=LABELS | {"grantkeeper.dev/kind": "upload"})), OUR_LABELS, id="delivering an upload"),
        pytest.param(create(TENANT, delivered(ownerReferences=[])), OUR_OWNER, id="delivering without an owner"),
        pytest.param(create(TENANT, delivered(ownerReferences=[OWNER | {"kind": "OAuthConnector"}])), OUR_OWNER, id="a connector as owner"),
        pytest.param(create(TENANT, delivered(ownerReferences=[OWNER | {"apiVersion": "example.com/v1"}])), OUR_OWNER, id="a namesake"),
        pytest.param(update(TENANT, "database", labels=LABELS, ownerReferences=[OWNER]), OUR_LABELS, id="labelling another's Secret"),
        pytest.param(update(TENANT, "owned", labels=LABELS), OUR_LABELS, id="labelling a Secret that a grant owns"),
        pytest.param(update(TENANT, "labelled", ownerReferences=[OWNER]), OUR_OWNER, id="owning a Secret that is labelled"),
        pytest.param(update(TENANT, "delivered", labels={"a": "b"}), OUR_LABELS, id="hiding what it delivered"),
        pytest.param(update(TENANT, "delivered", ownerReferences=[]), OUR_OWNER, id="disowning what it delivered"),
        pytest.param(delete(at(TENANT, "database")), OUR_LABELS, id="deleting another's Secret"),
        pytest.param(delete(at(TENANT, "labelled")), OUR_OWNER, id="deleting a Secret that is only labelled"),
        pytest.param(delete(at(TENANT, "robot")), OPAQUE, id="deleting an account's token"),
        pytest.param(delete(at(TENANT)), no("deletecollection"), id="deleting all of a tenant's Secrets"),
        pytest.param(patch(at(TENANT, "delivered")), no("patch"), id="patching a tenant's Secret"),
        pytest.param(delete(GRANT), no("delete"), id="deleting a grant"),
        pytest.param(Call("POST", f"{API}/usergrants", {}), no("create"), id="creating a grant"),
        pytest.param(Call("PUT", GRANT, {}), no("update"), id="replacing a grant"),
        pytest.param(Call("POST", at(HOME, "default/token", "serviceaccounts"), {}), no("create"), id="asking for another's token"),
        pytest.param(Call("POST", at(HOME, resource="pods"), {}), no("create"), id="starting a Pod"),
        pytest.param(get(at(TENANT, "some", "pods")), no("get"), id="reading a tenant's Pod"),
        pytest.param(get(at(HOME, resource="configmaps")), no("list"), id="listing ConfigMaps"),
    ],
)
def test_controller_is_refused(accounts: Accounts, call: Call, message: str) -> None:
    assert_refused(accounts.call("controller", call), message)


def assert_refused(response: httpx.Response, message: str) -> None:
    assert response.status_code in {httpx.codes.FORBIDDEN, httpx.codes.UNPROCESSABLE_ENTITY}, response.text
    assert message in response.json()["message"]


def test_other_accounts_are_not_judged(accounts: Accounts) -> None:
    for call in (create(HOME, secret("new")), create(TENANT, secret("new")), delete(at(TENANT, "database"))):
        assert accounts.call("admin", call).is_success


@pytest.mark.parametrize("component", ["controller", "consent"])
@pytest.mark.parametrize("namespace", [HOME, TENANT, "default"])
def test_account_has_the_rights_of_the_table_and_no_others(accounts: Accounts, component: str, namespace: str) -> None:
    rights, paths = review(accounts.clients[component], namespace)
    anybodys, anybodys_paths = review(accounts.clients["nobody"], namespace)
    at_home = AT_HOME[component] if namespace == HOME else {}
    assert rights == together(anybodys, EVERYWHERE[component], at_home)
    assert paths == anybodys_paths


def review(client: httpx.Client, namespace: str) -> tuple[Rights, set[str]]:
    """What an account may do in a namespace, and the paths besides resources that it may reach."""
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    status = client.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json=body).json()["status"]
    assert not status["incomplete"]
    assert not [rule for rule in status["resourceRules"] if rule.get("resourceNames")]
    return collect(status["resourceRules"]), {path for rule in status["nonResourceRules"] for path in rule["nonResourceURLs"]}
