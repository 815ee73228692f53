"""The rendered chart on the real API server: its policies are understood, and its Pods may run where Pod Security is `restricted`."""

from __future__ import annotations

import httpx
import pytest

from cluster.accounts import wait_until
from contracts.chart import of_kind, render
from parts.controlplane import ControlPlane

COMPONENTS = ["controller", "consent"]
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_expressions_of_the_policies_fit_their_types(control_plane: ControlPlane, component: str) -> None:
    policy = of_kind("ValidatingAdmissionPolicy", render(release="checked-grantkeeper"))[f"checked-grantkeeper-{component}"]
    control_plane.apply([policy])
    path = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{policy['metadata']['name']}"
    with control_plane.client() as client:
        wait_until(lambda: "typeChecking" in client.get(path).json().get("status", {}))
        assert client.get(path).json()["status"]["typeChecking"] == {}


@pytest.mark.parametrize("component", COMPONENTS)
def test_pod_may_run_where_pod_security_is_restricted(control_plane: ControlPlane, namespace: str, component: str) -> None:
    control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": RESTRICTED}}])
    spec = of_kind("Deployment", render())[f"grantkeeper-{component}"]["spec"]["template"]["spec"]
    with control_plane.client() as client:
        assert _start(client, namespace, {**spec, "serviceAccountName": "default"}).status_code == httpx.codes.CREATED
        refused = _start(client, namespace, {**spec, "serviceAccountName": "default", "securityContext": {}})
        assert "violates PodSecurity" in refused.json()["message"]


def _start(client: httpx.Client, namespace: str, spec: dict[str, object]) -> httpx.Response:
    """Try to start a Pod with this spec; nothing is started."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    return client.post(f"/api/v1/namespaces/{namespace}/pods", params={"dryRun": "All"}, json=pod)
