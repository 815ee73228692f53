from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parts import PartFailed
from parts.pods import Machine, translate

MACHINE = Machine(api_port=6443, ports={8080: 20080, 9090: 20090}, service_account=Path("/run/account"), scratch=Path("/run/scratch"))

POD: dict[str, Any] = {
    "metadata": {"name": "consent-1", "namespace": "grantkeeper", "uid": "the-uid"},
    "spec": {
        "serviceAccountName": "consent",
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 45,
        "restartPolicy": "Always",
        "containers": [
            {
                "name": "consent",
                "image": "grantkeeper:0.1.0",
                "command": ["grantkeeper"],
                "args": ["consent"],
                "env": [
                    {"name": "GRANTKEEPER_EXTERNAL_URL", "value": "https://connect.example.com"},
                    {"name": "GRANTKEEPER_EMPTY"},
                    {"name": "GRANTKEEPER_LISTEN", "value": "0.0.0.0:8080"},
                    {"name": "GRANTKEEPER_METRICS_LISTEN", "value": "0.0.0.0:9090"},
                    {"name": "GRANTKEEPER_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                    {"name": "GRANTKEEPER_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "GRANTKEEPER_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
                ],
                "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics", "scheme": "HTTP"}, "periodSeconds": 10},
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9090}, "failureThreshold": 3},
                "volumeMounts": [{"name": "account", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            },
        ],
        "volumes": [{"name": "account", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
    },
}


Change = Callable[[dict[str, Any], dict[str, Any]], object]
"""Changes a Pod's spec and its container."""


def changed(change: Change) -> dict[str, Any]:
    pod = copy.deepcopy(POD)
    change(pod["spec"], pod["spec"]["containers"][0])
    return pod


def test_everything_in_the_table_is_put_in_its_place() -> None:
    launch = translate(POD, MACHINE)
    assert launch.name == "consent"
    assert launch.command == (str(Path(sys.executable).with_name("grantkeeper")), "consent")
    assert launch.grace == 45
    assert launch.liveness == "http://127.0.0.1:20090/healthz"
    assert launch.readiness == "http://127.0.0.1:20090/readyz"
    assert launch.environment == {
        "GRANTKEEPER_EXTERNAL_URL": "https://connect.example.com",
        "GRANTKEEPER_EMPTY": "",
        "GRANTKEEPER_LISTEN": "127.0.0.1:20080",
        "GRANTKEEPER_METRICS_LISTEN": "127.0.0.1:20090",
        "GRANTKEEPER_NAMESPACE": "grantkeeper",
        "GRANTKEEPER_POD_NAME": "consent-1",
        "GRANTKEEPER_POD_UID": "the-uid",
        "GRANTKEEPER_SERVICE_ACCOUNT_DIRECTORY": "/run/account",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "6443",
    }


def test_a_container_without_ports_listens_nowhere() -> None:
    def close(_: dict[str, Any], container: dict[str, Any]) -> None:
        for name in ("ports", "livenessProbe", "readinessProbe"):
            del container[name]
        container["env"] = []

    launch = translate(changed(close), MACHINE)
    assert "GRANTKEEPER_LISTEN" not in launch.environment
    assert (launch.liveness, launch.readiness) == (None, None)


def with_env(**entry: object) -> Change:
    return lambda _, container: container["env"].append(entry)


REFUSED = [
    pytest.param(lambda s, _: s.update(hostNetwork=True), "of a Pod: hostNetwork", id="a field of the Pod"),
    pytest.param(lambda s, _: s.update(initContainers=[{}]), "of a Pod: initContainers", id="init containers"),
    pytest.param(lambda _, c: c.update(startupProbe={}, envFrom=[]), "of a container: envFrom, startupProbe", id="container fields"),
    pytest.param(lambda s, c: s["containers"].append(c), "several containers", id="a second container"),
    pytest.param(lambda s, _: s.pop("enableServiceLinks"), "enableServiceLinks: false", id="variables of Services: the default"),
    pytest.param(lambda _, c: c.update(command=["sh"]), "the container's command is ['sh']", id="another program"),
    pytest.param(with_env(name="KEY", valueFrom={"secretKeyRef": {"name": "s", "key": "k"}}), "where KEY comes from", id="env of a Secret"),
    pytest.param(with_env(name="IP", valueFrom={"fieldRef": {"fieldPath": "status.podIP"}}), "where IP comes from", id="an unknown field"),
    pytest.param(with_env(name="A", value="$(B)"), "expands no references", id="a reference to another variable"),
    pytest.param(lambda s, _: s["volumes"].append({"name": "x", "hostPath": {}}), "of the volume x", id="another kind of volume"),
    pytest.param(lambda _, c: c["volumeMounts"].append({"mountPath": "/keys"}), "of the mount /keys", id="another mount"),
    pytest.param(lambda _, c: c["ports"].append({"containerPort": 9}), "declares the ports [9, 8080, 9090]", id="a port of nobody's"),
    pytest.param(lambda _, c: c.update(env=[]), "is told {}", id="nothing is told to listen"),
    pytest.param(lambda _, c: c["env"][2].update(value="0.0.0.0:9"), "is told {'GRANTKEEPER_LISTEN': 9,", id="ports disagree"),
    pytest.param(lambda _, c: c["env"][3].update(value="0.0.0.0:8080"), "declares the ports [8080, 9090]", id="two on one port"),
    pytest.param(lambda _, c: c["livenessProbe"].update(exec={}), "of a livenessProbe: exec", id="another kind of probe"),
    pytest.param(
        lambda _, c: c["readinessProbe"]["httpGet"].update(httpHeaders=[]), "readinessProbe's httpGet: httpHeaders", id="headers of a probe"
    ),
    pytest.param(lambda _, c: c["readinessProbe"]["httpGet"].update(port="web"), "the readinessProbe asks at", id="a probe of no port"),
    pytest.param(lambda _, c: c["livenessProbe"]["httpGet"].update(scheme="HTTPS"), "the livenessProbe asks at", id="a probe by https"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED)
def test_what_the_table_does_not_know_is_refused(change: Change, said: str) -> None:
    with pytest.raises(PartFailed) as refused:
        translate(changed(change), MACHINE)
    assert said in str(refused.value)


def with_a_journal(spec: dict[str, Any], container: dict[str, Any]) -> None:
    spec["volumes"].append({"name": "journal", "emptyDir": {}})
    container["volumeMounts"].append({"name": "journal", "mountPath": "/var/lib/journal"})


def test_an_empty_directory_is_one_of_the_pods_own_and_is_named_by_its_variable(tmp_path: Path) -> None:
    def name(spec: dict[str, Any], container: dict[str, Any]) -> None:
        with_a_journal(spec, container)
        container["env"].append({"name": "GRANTKEEPER_JOURNAL_DIRECTORY", "value": "/var/lib/journal"})

    launch = translate(changed(name), replace(MACHINE, scratch=tmp_path))
    assert launch.environment["GRANTKEEPER_JOURNAL_DIRECTORY"] == str(tmp_path / "journal")
    assert (tmp_path / "journal").is_dir()


def test_an_empty_directory_that_no_variable_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match="no variable says where these are mounted: /var/lib/journal"):
        translate(changed(with_a_journal), replace(MACHINE, scratch=tmp_path))
