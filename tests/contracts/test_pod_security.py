"""Pods pass Pod Security `restricted` with no values set, and ask for no more of the node than that."""

from __future__ import annotations

import pytest

from contracts.chart import Manifest, of_kind, render

COMPONENTS = ["grantkeeper-controller", "grantkeeper-consent"]


@pytest.fixture(scope="module")
def pods() -> dict[str, Manifest]:
    return {name: deployment["spec"]["template"]["spec"] for name, deployment in of_kind("Deployment", render()).items()}


@pytest.mark.parametrize("name", COMPONENTS)
def test_pod_shares_nothing_with_its_node(pods: dict[str, Manifest], name: str) -> None:
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers"} & pods[name].keys()
    assert all(volume.keys() == {"name", "emptyDir"} for volume in pods[name].get("volumes", ()))


@pytest.mark.parametrize("name", COMPONENTS)
def test_pod_runs_as_a_numbered_user_that_is_not_root(pods: dict[str, Manifest], name: str) -> None:
    context = pods[name]["securityContext"]
    assert context == {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize("name", COMPONENTS)
def test_container_may_do_nothing_special(pods: dict[str, Manifest], name: str) -> None:
    (container,) = pods[name]["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not [port for port in container.get("ports", ()) if "hostPort" in port]


@pytest.mark.parametrize("name", COMPONENTS)
def test_container_says_what_it_needs(pods: dict[str, Manifest], name: str) -> None:
    (container,) = pods[name]["containers"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", COMPONENTS)
def test_token_is_mounted_by_the_pod_alone(pods: dict[str, Manifest], name: str) -> None:
    account = of_kind("ServiceAccount", render())[pods[name]["serviceAccountName"]]
    assert (account["automountServiceAccountToken"], pods[name]["automountServiceAccountToken"]) == (False, True)
