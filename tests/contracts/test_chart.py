"""The chart: it installs the CRDs as they are, its values are explained, and a wrong value fails with a sentence."""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.chart import CHART, EXTERNAL_URL, HelmFailed, Manifest, of_kind, render, run
from contracts.schemas import CRDS
from grantkeeper.settings import PREFIX, ConsentSettings, ControllerSettings, LogLevel, Settings

# What is installed


def test_default_values_install_these_objects_and_no_others() -> None:
    assert Counter(manifest["kind"] for manifest in render()) == {
        "ClusterRole": 2,
        "ClusterRoleBinding": 2,
        "CustomResourceDefinition": 2,
        "Deployment": 2,
        "Role": 2,
        "RoleBinding": 2,
        "Service": 1,
        "ServiceAccount": 2,
        "ValidatingAdmissionPolicy": 3,
        "ValidatingAdmissionPolicyBinding": 3,
    }


def test_two_renderings_are_the_same() -> None:
    assert render() == render()


def test_crds_are_installed_as_they_are_and_kept_on_removal() -> None:
    written = {path.stem: yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml")}
    assert of_kind("CustomResourceDefinition", render()) == written
    assert {crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in written.values()} == {"keep"}


def test_crds_can_be_left_out() -> None:
    assert of_kind("CustomResourceDefinition", render("crds.enabled=false")) == {}


def test_packaged_chart_holds_the_crds_byte_for_byte(tmp_path: Path) -> None:
    run("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        packed = {Path(name).name: file.read() for name, file in files.items() if file and "/crds/" in name}
    assert packed == {path.name: path.read_bytes() for path in CRDS.glob("*.yaml")}
    assert render(chart=package) == render()


def test_another_release_bears_its_own_name() -> None:
    names = {m["metadata"]["name"] for m in render(release="main") if m["kind"] != "CustomResourceDefinition"}
    assert names == {"main-grantkeeper-controller", "main-grantkeeper-consent", "main-grantkeeper-connect"}


# What the processes are told


def environment(manifests: list[Manifest], component: str) -> dict[str, str]:
    """Each variable with its value, or with the path in the Pod that it comes from."""
    container = containers(manifests)[component]
    return {v["name"]: v.get("value") or v.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "") for v in container["env"]}


def containers(manifests: list[Manifest]) -> dict[str, Manifest]:
    deployments = of_kind("Deployment", manifests).values()
    return {container["name"]: container for d in deployments for container in d["spec"]["template"]["spec"]["containers"]}


def test_controller_is_told_what_it_needs() -> None:
    assert environment(render("providerNetworks={10.20.0.0/16,fd00::/8}"), "controller") == {
        "GRANTKEEPER_NAMESPACE": "metadata.namespace",
        "GRANTKEEPER_POD_NAME": "metadata.name",
        "GRANTKEEPER_POD_UID": "metadata.uid",
        "GRANTKEEPER_EXTERNAL_URL": EXTERNAL_URL,
        "GRANTKEEPER_KEYRING_SECRET": "grantkeeper-keyring",
        "GRANTKEEPER_KEYRING_GENERATE": "true",
        "GRANTKEEPER_PROVIDER_NETWORKS": "10.20.0.0/16,fd00::/8",
        "GRANTKEEPER_JOURNAL_DIRECTORY": "/var/lib/grantkeeper/journal",
        "GRANTKEEPER_WATCH_NAMESPACES": "",
        "GRANTKEEPER_METRICS_LISTEN": "0.0.0.0:9090",
        "GRANTKEEPER_LOG_LEVEL": "INFO",
    }


def test_consent_is_told_what_it_needs_and_listens_where_its_service_leads() -> None:
    manifests = render("consent.port=8081", "logLevel=DEBUG")
    assert environment(manifests, "consent") == {
        "GRANTKEEPER_NAMESPACE": "metadata.namespace",
        "GRANTKEEPER_EXTERNAL_URL": EXTERNAL_URL,
        "GRANTKEEPER_LISTEN": "0.0.0.0:8081",
        "GRANTKEEPER_METRICS_LISTEN": "0.0.0.0:9090",
        "GRANTKEEPER_LOG_LEVEL": "DEBUG",
    }
    (service,) = of_kind("Service", manifests).values()
    pod = of_kind("Deployment", manifests)["grantkeeper-consent"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    assert {"name": "http", "containerPort": 8081} in containers(manifests)["consent"]["ports"]


@pytest.mark.parametrize("component", ["controller", "consent"])
def test_process_is_asked_how_it_is_where_no_service_leads(component: str) -> None:
    manifests = render("metrics.port=9100")
    container = containers(manifests)[component]
    assert environment(manifests, component)["GRANTKEEPER_METRICS_LISTEN"] == "0.0.0.0:9100"
    assert {"name": "metrics", "containerPort": 9100} in container["ports"]
    asked = {name: container[name]["httpGet"] for name in ("livenessProbe", "readinessProbe")}
    assert asked == {"livenessProbe": {"path": "/healthz", "port": "metrics"}, "readinessProbe": {"path": "/readyz", "port": "metrics"}}
    assert "metrics" not in {port["targetPort"] for service in of_kind("Service", manifests).values() for port in service["spec"]["ports"]}


@pytest.mark.parametrize(("component", "settings"), [("controller", ControllerSettings), ("consent", ConsentSettings)])
def test_process_understands_what_it_is_told(component: str, settings: type[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    told = environment(render("providerNetworks={10.20.0.0/16}", "watch.namespaces={team-a,team-b}"), component)
    assert {name.removeprefix(PREFIX).lower() for name in told} <= settings.model_fields.keys()
    for name, value in told.items():
        monkeypatch.setenv(name, "from-the-pod" if value.startswith("metadata.") else value)
    assert settings.from_environment().external_url == EXTERNAL_URL


@pytest.mark.parametrize(("values", "replicas"), [((), 2), (("controller.replicas=3",), 3)])
def test_a_controller_is_followed_by_one_that_is_ready_and_has_time_to_finish(values: tuple[str, ...], replicas: int) -> None:
    spec = of_kind("Deployment", render(*values))["grantkeeper-controller"]["spec"]
    assert spec["replicas"] == replicas
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 45


@pytest.mark.parametrize(
    ("values", "image"),
    [
        pytest.param((), "grantkeeper:0.1.0", id="the version of the chart"),
        pytest.param(("image.repository=mirror/grantkeeper", "image.tag=edge"), "mirror/grantkeeper:edge", id="a tag"),
        pytest.param(
            ("image.tag=edge", f"image.digest=sha256:{'0' * 64}"), f"grantkeeper@sha256:{'0' * 64}", id="a digest wins over a tag"
        ),
    ],
)
def test_image(values: tuple[str, ...], image: str) -> None:
    assert {container["image"] for container in containers(render(*values)).values()} == {image}


# What may be set


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and name != "resources":
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def properties(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            assert inner["additionalProperties"] is False
            yield from properties(inner, f"{path}{name}.")
        elif f"{path}{name}" != "global":
            yield f"{path}{name}"


def test_values_and_their_schema_name_the_same() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
    assert schema["properties"]["logLevel"]["enum"] == list(LogLevel)
    assert set(properties(schema)) == set(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))


def test_each_value_is_explained_in_a_sentence() -> None:
    text = (CHART / "values.yaml").read_text()
    explained = re.findall(r"^( *)# [A-Z].*(?:\n\1# .*)*(?<=\.)\n\1(\w+):", text, re.MULTILINE)
    values = yaml.safe_load(text)
    assert Counter(name for _, name in explained) == Counter(path.rpartition(".")[2] for path in leaves(values))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param("externalURL=", "Set externalURL to where people's browsers reach the consent pages", id="no external URL"),
        pytest.param(
            "externalURL=connect.example.com",
            "externalURL must begin with https://, or, on a loopback host for development, http://",
            id="a URL without a scheme",
        ),
        pytest.param("externalURL=http://connect.example.com", "externalURL must begin with https://", id="http to the world"),
        pytest.param("externalURL=http://localhost.example.com", "externalURL must begin with https://", id="http to a lookalike"),
        pytest.param("externalURL=https://me@connect.example.com", "and name no user, query or fragment", id="a URL with a user"),
        pytest.param("consent.replica=2", "Additional property replica is not allowed", id="a misspelt value"),
        pytest.param("replicas=2", "Additional property replicas is not allowed", id="a value in the wrong place"),
        pytest.param("consent.replicas=two", "consent.replicas: Invalid type. Expected: integer, given: string", id="a word for a number"),
        pytest.param("keyring.generate=yes", "keyring.generate: Invalid type. Expected: boolean, given: string", id="a word for a boolean"),
        pytest.param("logLevel=TRACE", 'logLevel must be one of the following: "DEBUG", "INFO", "WARNING", "ERROR"', id="an unknown level"),
        pytest.param("image.digest=latest", "image.digest: Does not match pattern", id="a tag for a digest"),
        pytest.param("watch.namespaces={team.a}", "watch.namespaces.0: Does not match pattern", id="a namespace that is none"),
        pytest.param("watch.namespaces={a,a}", "watch.namespaces: array items[0,1] must be unique", id="a namespace twice"),
        pytest.param("providerNetworks={10.20.0.1}", "providerNetworks.0: Does not match pattern", id="an address for a network"),
    ],
)
def test_wrong_value_is_refused_with_a_sentence(value: str, sentence: str) -> None:
    with pytest.raises(HelmFailed, match=re.escape(sentence)):
        render(value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("https://connect.example.com:8443", "https://connect.example.com:8443", id="a port"),
        pytest.param("https://connect.example.com/", "https://connect.example.com", id="a slash at the end, which is left out"),
        pytest.param("https://example.com/connect", "https://example.com/connect", id="a path"),
        pytest.param("http://localhost:8080", "http://localhost:8080", id="http on localhost"),
        pytest.param("http://127.0.0.1:8080", "http://127.0.0.1:8080", id="http on 127.0.0.1"),
        pytest.param("http://[::1]:8080", "http://[::1]:8080", id="http on ::1"),
    ],
)
def test_external_url_may_have(url: str, told: str) -> None:
    assert environment(render(f"externalURL={url}"), "consent")["GRANTKEEPER_EXTERNAL_URL"] == told
