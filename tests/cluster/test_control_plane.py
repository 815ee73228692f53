"""The control plane is a real one: rights, admission, controllers and the audit log are what tests lean on."""

from __future__ import annotations

import base64

import httpx
import pytest

from parts import PartFailed
from parts.audit import Call
from parts.controlplane import ControlPlane
from parts.waiting import wait_for

PASSWORD = b"a value that no log may hold"


@pytest.fixture
def account(control_plane: ControlPlane, namespace: str) -> httpx.Client:
    control_plane.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "worker", "namespace": namespace}}])
    return control_plane.client(control_plane.token_of(namespace, "worker"))


def secret(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "data": {"password": base64.b64encode(PASSWORD).decode()}}


def test_it_is_the_pinned_kubernetes(control_plane: ControlPlane) -> None:
    with control_plane.client() as client:
        assert client.get("/version").json()["minor"] == "36"


def test_an_account_without_rights_is_refused(namespace: str, account: httpx.Client) -> None:
    with account as client:
        refused = client.get(f"/api/v1/namespaces/{namespace}/secrets")
    assert refused.status_code == 403
    assert f'"system:serviceaccount:{namespace}:worker" cannot list resource "secrets"' in refused.json()["message"]


def test_an_account_may_do_what_it_was_given(control_plane: ControlPlane, namespace: str, account: httpx.Client) -> None:
    control_plane.kubectl("create", "role", "writer", "--verb=create", "--resource=secrets", "-n", namespace)
    control_plane.kubectl("create", "rolebinding", "writer", "--role=writer", f"--serviceaccount={namespace}:worker", "-n", namespace)
    with account as client:
        wait_for(
            lambda: client.post(f"/api/v1/namespaces/{namespace}/secrets", json=secret("made")).status_code == 201, "the right to count"
        )
        assert client.get(f"/api/v1/namespaces/{namespace}/secrets/made").status_code == 403


def test_the_audit_log_says_who_did_what_and_never_what_was_in_it(
    control_plane: ControlPlane, namespace: str, account: httpx.Client
) -> None:
    since = len(control_plane.calls())
    with account as client, control_plane.client() as admin:
        client.post(f"/api/v1/namespaces/{namespace}/secrets", json=secret("refused"))
        admin.post(f"/api/v1/namespaces/{namespace}/secrets", json=secret("made"))
    writes = [call for call in control_plane.calls(since) if call.namespace == namespace and call.resource == "secrets" and call.is_write]
    assert [(call.user, call.account, call.verb, call.code) for call in writes] == [
        (f"system:serviceaccount:{namespace}:worker", f"{namespace}/worker", "create", 403),
        ("admin", None, "create", 201),
    ]
    assert writes[1].name == "made"
    log = (control_plane.directory / "audit.log").read_bytes()
    assert [form for form in (PASSWORD, base64.b64encode(PASSWORD)) if form in log] == []


def test_a_read_is_no_write() -> None:
    call = Call(time="", user="admin", verb="get", resource="secrets", namespace="n", name="s", code=200)
    assert not call.is_write


def test_an_admission_policy_is_enforced(control_plane: ControlPlane, namespace: str) -> None:
    name = f"no-large-names.{namespace}"
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}]
    policy = {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "!object.metadata.name.startsWith('large')", "message": "no large names"}],
    }
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": selector}
    kinds = {"ValidatingAdmissionPolicy": policy, "ValidatingAdmissionPolicyBinding": binding}
    control_plane.apply(
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in kinds.items()
    )
    wait_for(lambda: _is_refused(control_plane, namespace, "large-one"), "the policy to be in force")
    assert not _is_refused(control_plane, namespace, "small-one")


def _is_refused(control_plane: ControlPlane, namespace: str, name: str) -> bool:
    with control_plane.client() as client:
        path = f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All"
        answer = client.post(path, json={"metadata": {"name": name}})
    return answer.status_code == 422 and "no large names" in answer.json()["message"]


def test_what_an_owner_leaves_behind_is_collected(control_plane: ControlPlane, namespace: str) -> None:
    with control_plane.client() as client:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        owner = client.post(path, json={"metadata": {"name": "owner"}}).json()["metadata"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
        client.post(path, json={"metadata": {"name": "owned", "ownerReferences": [reference]}})
        client.delete(f"{path}/owner")
        wait_for(lambda: client.get(f"{path}/owned").status_code == 404, "the garbage collector")


def test_kubectls_complaint_is_the_error(control_plane: ControlPlane) -> None:
    with pytest.raises(PartFailed, match=r"kubectl get: .*NotFound"):
        control_plane.kubectl("get", "namespace", "nowhere")
