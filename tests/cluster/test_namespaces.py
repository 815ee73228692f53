"""Connectors across namespaces, rights namespace by namespace, and namespaces that go, on the real API server with the chart's rights."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

import httpx
import pytest

from cluster.stage import API, WITHIN, Object, Stage, condition, sha256, status
from cluster.test_rights import review
from contracts.rights import AT_HOME, EVERYWHERE, IN_A_LISTED_NAMESPACE, together
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation, render
from parts.person import Person
from parts.waiting import wait_for

REPORTS = {"from": "Selector", "selector": {"matchLabels": {"team": "reports"}}}
GONE_WITHIN = 60
AT_ONCE = 10
"""Seconds: a second, on a machine that has other things to do as well."""


def make_namespace(control_plane: ControlPlane, name: str = "") -> str:
    name = name or f"test-{secrets.token_hex(4)}"
    control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    return name


def label(stage: Stage, **labels: str | None) -> None:
    """Label a stage's namespace; None takes a label away."""
    merge(stage, f"/api/v1/namespaces/{stage.namespace}", {"metadata": {"labels": labels}})


def merge(stage: Stage, path: str, patch: Object) -> None:
    with stage.control_plane.client() as client:
        client.patch(path, json=patch, headers={"Content-Type": "application/merge-patch+json"}).raise_for_status()


def add_grant(stage: Stage, platform: Stage, name: str = "alice") -> None:
    """A grant that names the other stage's connector."""
    stage.add_grant(name, connectorRef={"name": "calendar", "namespace": platform.namespace})


def exists(stage: Stage, path: str) -> bool:
    with stage.control_plane.client() as client:
        return client.get(path).status_code != httpx.codes.NOT_FOUND


def delivered_path(stage: Stage, name: str = "alice") -> str:
    return f"/api/v1/namespaces/{stage.namespace}/secrets/{name}-token"


def make_ready(stage: Stage, name: str = "alice", *, lifetime: int = 60) -> str:
    """A connector, a grant and a consent; the access token that is delivered."""
    stage.make_ready(name, lifetime=lifetime)
    return stage.delivered(name)["access_token"]


def delete_namespace(stage: Stage) -> None:
    """Delete a stage's namespace with all that is in it, and see it gone within a minute."""
    stage.control_plane.kubectl("delete", "namespace", stage.namespace, "--wait=false")
    wait_for(lambda: not exists(stage, f"/api/v1/namespaces/{stage.namespace}"), f"{stage.namespace} to go", within=GONE_WITHIN)


def see_revoked(stage: Stage, *tokens: str) -> None:
    """The authorization server was asked to revoke both tokens of each grant, and took it."""
    ledger = stage.auth_server.ledger(stage.client_id)
    revoked = {entry["presented"] for entry in ledger if entry["endpoint"] == "revocation" and entry["status"] == httpx.codes.OK}
    for token in tokens:
        issued = next(entry for entry in ledger if entry["access_token"] == sha256(token))
        assert {issued["access_token"], issued["refresh_token"]} <= revoked
        assert not stage.auth_server.introspect(token)["active"]


def see_healed(stage: Stage, name: str = "alice") -> None:
    """The watch on a namespace's Secrets works: what somebody spoils is put right."""
    merge(stage, delivered_path(stage, name), {"data": {"access_token": base64.b64encode(b"spoilt").decode()}})
    wait_for(lambda: stage.delivered(name)["access_token"] != "spoilt", f"the Secret in {stage.namespace} to be put right", within=WITHIN)


# Across namespaces


@pytest.fixture
def platform(control_plane: ControlPlane, auth_server: AuthServer, grantkeeper: Installation) -> Iterator[Stage]:
    """Another namespace, whose connector is used from the stage."""
    name = make_namespace(control_plane)
    yield Stage(control_plane, auth_server, grantkeeper, name)
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def test_a_consent_to_a_connector_of_another_namespace_is_delivered_in_the_grants_alone(stage: Stage, platform: Stage) -> None:
    add_grant(stage, platform)
    missing = stage.wait_reason("alice", "ConnectorNotFound")
    assert f"in namespace {platform.namespace}" in condition(missing, "Accepted")["message"]
    platform.add_connector(lifetime=8, allowedNamespaces={"from": "All"})
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]
    connector = platform.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")
    assert status(connector)["redirectURI"] == f"{stage.installation.external_url}/callback/{platform.namespace}/calendar"
    stage.wait_refreshed("alice", generation)
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    labelled = stage.get("/api/v1/secrets?labelSelector=grantkeeper.dev/kind%3Ddelivered")["items"]
    assert [s["metadata"]["namespace"] for s in labelled if s["metadata"]["name"] == "alice-token"].count(stage.namespace) == 1
    assert platform.namespace not in {secret["metadata"]["namespace"] for secret in labelled}
    assert len(platform.presented()) == len(set(platform.presented())) >= 1


def test_the_connector_and_the_labels_decide_who_is_admitted(stage: Stage, platform: Stage) -> None:
    platform.add_connector()
    platform.wait_connector("calendar", lambda c: condition(c, "Ready")["status"] == "True")
    add_grant(stage, platform)
    refused = stage.wait_reason("alice", "NamespaceNotAllowed")
    assert condition(refused, "Stalled")["status"] == "True"
    assert "spec.allowedNamespaces" in condition(refused, "Accepted")["message"]
    assert "consentURL" not in status(refused)
    connector = f"{API}/namespaces/{platform.namespace}/oauthconnectors/calendar"
    merge(platform, connector, {"spec": {"allowedNamespaces": {"from": "All"}}})
    stage.wait_reason("alice", "AwaitingConsent", within=AT_ONCE)
    merge(platform, connector, {"spec": {"allowedNamespaces": REPORTS}})
    stage.wait_reason("alice", "NamespaceNotAllowed", within=AT_ONCE)
    label(stage, team="reports")
    stage.wait_reason("alice", "AwaitingConsent", within=AT_ONCE)
    label(stage, team=None)
    stage.wait_reason("alice", "NamespaceNotAllowed", within=AT_ONCE)


def test_one_that_is_cut_off_loses_its_secret_at_once_and_goes_on_when_it_is_admitted_again(stage: Stage, platform: Stage) -> None:
    label(stage, team="reports")
    platform.add_connector(lifetime=8, allowedNamespaces=REPORTS)
    add_grant(stage, platform)
    link = stage.link()
    label(stage, team="sales")
    stage.wait_reason("alice", "NamespaceNotAllowed", within=AT_ONCE)
    with Person("alice", trusting=[stage.auth_server.ca]) as person:
        assert "Not ready yet" in person.open(link).text
    label(stage, team="reports")
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]

    label(stage, team="sales")
    stage.wait_reason("alice", "NamespaceNotAllowed", within=AT_ONCE)
    wait_for(lambda: not exists(stage, delivered_path(stage)), "the Secret to be withdrawn", within=AT_ONCE)
    presented, sealed = platform.presented(), stage.sealed()["data"]["tokenset"]
    cut_off = stage.wait_grant("alice", lambda grant: status(grant)["tokenState"] == "Expired")
    assert condition(cut_off, "Fresh")["reason"] == "Expired"
    assert "nextRefreshTime" not in status(cut_off)
    assert platform.presented() == presented, "it was refreshed though it is not admitted"
    assert stage.sealed()["data"]["tokenset"] == sealed

    label(stage, team="reports")
    stage.wait_refreshed("alice", generation)
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    assert len(platform.presented()) == len(set(platform.presented()))


def test_a_namespace_with_live_grants_is_gone_within_a_minute(stage: Stage) -> None:
    tokens = [make_ready(stage)]
    stage.add_grant("bob")
    stage.consent("bob")
    stage.wait_ready("bob")
    tokens.append(stage.delivered("bob")["access_token"])
    delete_namespace(stage)
    see_revoked(stage, *tokens)
    make_namespace(stage.control_plane, stage.namespace)  # for the fixture to delete
    assert sealed_of(stage) == []
    assert stage.installation.controller.is_alive


def sealed_of(stage: Stage) -> list[Object]:
    """What is still sealed of a stage's grants."""
    selector = f"grantkeeper.dev/namespace={stage.namespace}"
    return list(stage.get(f"/api/v1/namespaces/{stage.installation.namespace}/secrets?labelSelector={selector}")["items"])


# Rights in listed namespaces only

LISTED = ("alpha", "beta", "gamma")
UNLISTED = "delta"
VALUES = {"watch": {"namespaces": list(LISTED)}}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The chart with `watch.namespaces`, on a control plane of its own: beside the other release both would keep the same grants."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as control_plane:
        for name in (*LISTED, UNLISTED):
            make_namespace(control_plane, name)
        with Installation(control_plane, tmp_path_factory.mktemp("grantkeeper"), values=VALUES) as running:
            yield running


@pytest.fixture
def places(narrow: Installation, auth_server: AuthServer) -> dict[str, Stage]:
    """A stage in each namespace; whatever the test before took away is there again."""
    for name in LISTED:
        make_namespace(narrow.control_plane, name)
    apply_chart(narrow)
    return {name: Stage(narrow.control_plane, auth_server, narrow, name) for name in (*LISTED, UNLISTED, narrow.namespace)}


def apply_chart(installation: Installation) -> None:
    """What `helm upgrade` does to the rights."""
    values = {"externalURL": installation.external_url, **VALUES}
    installation.control_plane.apply(m for m in render(values, installation.namespace) if m["kind"] in {"Role", "RoleBinding"})


def clean(stage: Stage, *names: str) -> None:
    """Delete grants and their connector, so that the next test finds the namespace empty."""
    for name in names:
        stage.delete(stage.grant_path(name))
    wait_for(lambda: not any(exists(stage, stage.grant_path(name)) for name in names), "the grants to go", within=WITHIN)
    stage.delete(f"{API}/namespaces/{stage.namespace}/oauthconnectors/calendar")


def test_a_listed_namespace_uses_a_connector_of_the_operators_own(places: dict[str, Stage], narrow: Installation) -> None:
    stage, platform = places["alpha"], places[narrow.namespace]
    platform.add_connector(lifetime=8, allowedNamespaces={"from": "All"})
    add_grant(stage, platform)
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]
    stage.wait_refreshed("alice", generation)
    see_healed(stage)
    stage.delete(stage.grant_path())
    wait_for(lambda: not exists(stage, stage.grant_path()), "the grant to go", within=WITHIN)
    platform.delete(f"{API}/namespaces/{platform.namespace}/oauthconnectors/calendar")


@pytest.mark.parametrize("place", [*LISTED, UNLISTED, "default", "grantkeeper"])
def test_rights_on_secrets_end_at_the_list(narrow: Installation, place: str) -> None:
    control_plane = narrow.control_plane
    everywhere = {resource: verbs for resource, verbs in EVERYWHERE["controller"].items() if resource != "secrets"}
    here = AT_HOME["controller"] if place == narrow.namespace else IN_A_LISTED_NAMESPACE if place in LISTED else {}
    token, nobody = control_plane.token_of(narrow.namespace, "grantkeeper-controller"), control_plane.token_of("default", "default")
    with control_plane.client(token) as controller, control_plane.client(nobody) as stranger:
        rights, _ = review(controller, place)
        anybodys, _ = review(stranger, place)
        answers = {controller.get(path).status_code for path in ("/api/v1/secrets", f"/api/v1/namespaces/{place}/secrets")}
    assert rights == together(anybodys, everywhere, here)
    assert answers == ({403, 200} if here else {403})


def test_a_grant_that_is_not_kept_says_so_and_can_be_deleted(places: dict[str, Stage]) -> None:
    stage = places[UNLISTED]
    stage.add_connector()
    connector = stage.wait_connector("calendar", lambda c: condition(c, "ResolvedRefs")["status"] == "False")
    assert condition(connector, "ResolvedRefs")["reason"] == "SecretNotOffered"
    stage.add_grant()
    grant = stage.wait_grant("alice", lambda g: "watch.namespaces" in condition(g, "Accepted")["message"])
    assert (condition(grant, "Ready")["status"], condition(grant, "Ready")["reason"]) == ("Unknown", "Pending")
    assert "consentRequests" not in status(grant)
    merge(stage, stage.grant_path(), {"metadata": {"finalizers": ["grantkeeper.dev/keeper"]}})
    clean(stage, "alice")


def test_a_listed_namespace_goes_within_a_minute_and_is_kept_again_when_it_returns(places: dict[str, Stage], narrow: Installation) -> None:
    stage, other = places["alpha"], places["beta"]
    make_ready(other, lifetime=8)
    token, pid = make_ready(stage), narrow.controller.pid
    delete_namespace(stage)
    see_revoked(stage, token)
    assert sealed_of(stage) == []
    see_healed(other)
    other.wait_refreshed("alice", status(other.get(other.grant_path()))["tokenGeneration"])

    make_namespace(narrow.control_plane, stage.namespace)
    apply_chart(narrow)
    make_ready(stage)
    see_healed(stage)
    see_healed(other)
    assert narrow.controller.pid == pid
    assert narrow.controller.is_alive
    clean(stage, "alice")
    clean(other, "alice")


def test_a_start_without_one_of_the_listed_namespaces_keeps_the_others(places: dict[str, Stage], narrow: Installation) -> None:
    stage, missing = places["alpha"], places["gamma"]
    make_ready(stage)
    narrow.controller.stop()
    delete_namespace(missing)
    narrow.controller.start()
    narrow.controller.wait_until_keeping()
    pid = narrow.controller.pid
    see_healed(stage)
    make_namespace(narrow.control_plane, missing.namespace)
    apply_chart(narrow)
    make_ready(missing)
    see_healed(missing)
    assert narrow.controller.pid == pid
    clean(stage, "alice")
    clean(missing, "alice")


def test_rights_that_are_taken_away_cost_one_namespace_and_no_other(places: dict[str, Stage], narrow: Installation) -> None:
    stage, other = places["alpha"], places["beta"]
    make_ready(other)
    make_ready(stage, lifetime=8)
    pid = narrow.controller.pid
    stage.control_plane.kubectl("delete", "rolebinding", "grantkeeper-controller", "-n", stage.namespace)
    stage.wait_reason("alice", "ConnectorNotReady")
    connector = stage.wait_connector("calendar", lambda c: condition(c, "ResolvedRefs")["status"] == "False")
    assert "watch.namespaces" in condition(connector, "ResolvedRefs")["message"]
    see_healed(other)
    apply_chart(narrow)
    stage.wait_ready(within=30)
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    assert narrow.controller.pid == pid
    assert len(stage.presented()) == len(set(stage.presented()))
    clean(stage, "alice")
    clean(other, "alice")


REFUSAL, FIRST_REFUSAL = "Request attempt #", "Request attempt #1/"
"""What kopf says of a watch that the API server refuses, and of one that it has just begun."""


def test_a_watch_that_is_refused_is_begun_again_without_a_restart(places: dict[str, Stage], narrow: Installation) -> None:
    stage, other = places["alpha"], places["beta"]
    make_ready(other)
    make_ready(stage)
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{stage.namespace}/roles/grantkeeper-controller"
    rules = stage.get(role)["rules"]
    narrow.controller.stop()
    merge(stage, role, {"rules": [{**rule, "verbs": ["get", "list", "create", "update", "delete"]} for rule in rules]})
    narrow.controller.start()
    narrow.controller.wait_until_keeping()
    pid = narrow.controller.pid
    see_healed(other)
    log = narrow.controller.log
    began, refused = log.read_text().count(FIRST_REFUSAL), log.read_text().count(REFUSAL)
    wait_for(lambda: log.read_text().count(REFUSAL) > refused, "the watch to be refused", within=30)
    wait_for(lambda: log.read_text().count(FIRST_REFUSAL) > began + 1, "the watch to be begun anew", within=90)
    see_healed(other)
    merge(stage, role, {"rules": rules})
    see_healed(stage)
    see_healed(other)
    assert narrow.controller.pid == pid
    assert narrow.controller.is_alive
    clean(stage, "alice")
    clean(other, "alice")
