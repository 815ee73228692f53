"""The examples on the real API server: every manifest as it stands is accepted, and each one that has a page of steps can be walked."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.stage import CLIENT_SECRET, Object, Stage, condition, sha256, status
from cluster.test_asking import follow
from cluster.test_namespaces import AT_ONCE
from contracts.schemas import ROOT
from demo import example
from parts import commands, private
from parts.controlplane import ControlPlane
from parts.launcher import Installation

EXAMPLES = ROOT / "examples"
MANIFESTS = sorted(EXAMPLES.glob("*/*.yaml"))


def read(path: Path, **places: str) -> list[Object]:
    """The manifests of a file, with other names for their namespaces."""
    text = path.read_text()
    for name, place in places.items():
        text = re.sub(rf"(namespace|name): {name.replace('_', '-')}$", rf"\1: {place}", text, flags=re.MULTILINE)
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_manifest_is_accepted(control_plane: ControlPlane, grantkeeper: Installation, namespace: str, path: Path) -> None:
    del grantkeeper  # the CRDs and the policies are there
    control_plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=60s")
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    for document in documents:
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
    said = control_plane.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(documents)
    )
    assert said.count("serverside-applied (server dry run)") == len(documents)


# Walks


@pytest.fixture
def elsewhere(control_plane: ControlPlane) -> Iterator[str]:
    """The name of a namespace that an example makes, beside the stage's."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    control_plane.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def apply_connector(stage: Stage, path: Path, **places: str) -> None:
    """An example's connector, with the fields that its page says to replace, and its client at the authorization server."""
    manifests = read(path, **places)
    server, client_id = stage.auth_server, stage.client_id
    (connector,) = (manifest for manifest in manifests if manifest["kind"] == "OAuthConnector")
    (secret,) = (manifest for manifest in manifests if manifest["kind"] == "Secret")
    connector["spec"] |= {"issuer": server.issuer, "caBundle": server.ca_bundle, "clientID": client_id}
    secret["stringData"] = {"clientSecret": CLIENT_SECRET}
    redirect = f"{stage.installation.external_url}/callback/{stage.namespace}/{connector['metadata']['name']}"
    server.register(client_id, CLIENT_SECRET, redirect_uris=[redirect])
    stage.control_plane.apply(manifests)


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code in a page."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(r"^ +", "", block, flags=re.MULTILINE) for block in found]


def run(kubeconfig: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(commands.kubectl()).parent), os.environ["PATH"]])
    environment = {"PATH": path, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(kubeconfig.parent / "kubectl")}
    return subprocess.run(["/bin/sh", "-e"], input=script, env=environment, capture_output=True, text=True, check=False)


def kubeconfig_of(stage: Stage, account: str, directory: Path) -> Path:
    """The kubeconfig of a ServiceAccount of the stage's namespace."""
    config = yaml.safe_load(stage.control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": stage.control_plane.token_of(stage.namespace, account)}
    path = directory / f"{account}.kubeconfig"
    private.write(path, yaml.safe_dump(config))
    return path


def test_a_link_on_request_as_the_example_says(stage: Stage, tmp_path: Path) -> None:
    directory, places = EXAMPLES / "04-links-on-request", {"links_on_request": stage.namespace}
    apply_connector(stage, directory / "connector.yaml", **places)
    for file in ("grant.yaml", "asker.yaml"):
        stage.control_plane.apply(read(directory / file, **places))
    stage.wait_reason("carol-calendar", "AwaitingConsent")
    stage.control_plane.apply(  # a second grant, for which the asker has no right
        [{**read(directory / "grant.yaml", **places)[0], "metadata": {"name": "dave-calendar", "namespace": stage.namespace}}]
    )
    asker = kubeconfig_of(stage, "asker", tmp_path)
    (lines,) = blocks(directory / "README.md", "sh")
    script = lines.replace("links-on-request", stage.namespace).replace("https://connect.example.com", stage.installation.external_url)
    refused = run(asker, script.replace("carol-calendar", "dave-calendar"))
    assert refused.returncode != 0
    assert "dave-calendar" in refused.stderr

    done = run(asker, script)
    assert done.returncode == 0, done.stderr
    link = done.stdout.splitlines()[-1]
    follow(stage, link)
    ready = stage.wait_ready("carol-calendar")
    (request,) = status(ready)["consentRequests"]
    assert (request["hash"], request["state"]) == (sha256(link.rpartition("/")[2]), "Granted")
    assert stage.auth_server.introspect(stage.delivered("carol-calendar")["access_token"])["active"]


def test_a_shared_connector_as_the_example_says(stage: Stage, elsewhere: str) -> None:
    directory, places = EXAMPLES / "05-shared-connector", {"platform": stage.namespace, "team_a": elsewhere}
    apply_connector(stage, directory / "connector.yaml", **places)
    stage.control_plane.apply(read(directory / "grant.yaml", **places))
    team = Stage(stage.control_plane, stage.auth_server, stage.installation, elsewhere)
    team.consent("dave-calendar", account="dave")
    team.wait_ready("dave-calendar")
    assert stage.auth_server.introspect(team.delivered("dave-calendar")["access_token"])["active"]

    (cutting_off,) = (block for block in blocks(directory / "README.md", "") if "kubectl label" in block)
    away, _, back = cutting_off.replace("team-a", elsewhere).splitlines()
    assert run(stage.control_plane.kubeconfig, away).returncode == 0
    refused = team.wait_reason("dave-calendar", "NamespaceNotAllowed", within=AT_ONCE)
    assert condition(refused, "Stalled")["status"] == "True"
    assert run(stage.control_plane.kubeconfig, back).returncode == 0
    team.wait_ready("dave-calendar")


def test_the_way_to_try_an_example_against_the_demo(stage: Stage) -> None:
    """The request of examples/README.md, and a connector made with what came of it."""
    text = (EXAMPLES / "README.md").read_text()
    redirect = f"{stage.installation.external_url}/callback/{stage.namespace}/calendar"
    (said,) = re.findall(r"--data '(.*?)'", text, re.DOTALL)
    asked: dict[str, Any] = yaml.safe_load(said.replace("http://localhost:8088/callback/platform/calendar", redirect))
    with stage.auth_server.client() as client:
        registered = client.post("/reg", json=asked).raise_for_status().json()
    stage.control_plane.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "own", "namespace": stage.namespace, "labels": {"grantkeeper.dev/connector": "calendar"}},
                "stringData": {"clientSecret": registered["client_secret"]},
            },
            {
                "apiVersion": "grantkeeper.dev/v1alpha1",
                "kind": "OAuthConnector",
                "metadata": {"name": "calendar", "namespace": stage.namespace},
                "spec": {
                    **example.read(example.CONNECTOR)[2]["spec"],
                    "issuer": stage.auth_server.issuer,
                    "caBundle": stage.auth_server.ca_bundle,
                    "clientID": registered["client_id"],
                    "clientSecretRef": {"name": "own"},
                },
            },
        ]
    )
    stage.add_grant()
    stage.consent()
    stage.wait_ready()
