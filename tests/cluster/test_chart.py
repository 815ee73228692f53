"""The rendered chart on the real API server: its Pods may run where Pod Security is `restricted`, and its notes say what comes next."""

from __future__ import annotations

import httpx
import pytest

from contracts.chart import CHART, EXTERNAL_URL, of_kind, render, run
from parts.controlplane import ControlPlane

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.mark.parametrize("component", ["controller", "consent"])
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


REDIRECT = f"{EXTERNAL_URL}/callback/<namespace>/<connector>"
BACKUP = "kubectl --namespace notes get secret grantkeeper-keyring --output yaml > keyring-backup.yaml"
NO_KEYRING = "the controller waits until grantkeeper-keyring exists"
NOT_HTTPS = "http://localhost:8080 is not https"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({}, {REDIRECT, BACKUP}, id="default values"),
        pytest.param({"keyring.generate": "false"}, {REDIRECT, BACKUP, NO_KEYRING}, id="no keyring is made"),
        pytest.param({"externalURL": "http://localhost:8080"}, {BACKUP, NOT_HTTPS}, id="for development"),
    ],
)
def test_notes_say_what_comes_next(control_plane: ControlPlane, values: dict[str, str], said: set[str]) -> None:
    settings = {"externalURL": EXTERNAL_URL, "crds.enabled": "false", **values}
    arguments = [argument for name, value in settings.items() for argument in ("--set", f"{name}={value}")]
    installed = run("install", "notes", CHART, "--namespace=notes", "--dry-run", "--kubeconfig", control_plane.kubeconfig, *arguments)
    _, _, notes = installed.partition("\nNOTES:\n")
    sentences = {REDIRECT, BACKUP, NO_KEYRING, NOT_HTTPS}
    assert {sentence for sentence in sentences if sentence in notes} == said
