"""The CRDs on the real API server: what it refuses and with which words, what it fills in, what `kubectl get` shows.

A controller may be running beside these tests, so what it could write to is only ever changed in dry runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contracts.schemas import CRDS, VECTORS, load_crds
from parts.controlplane import ControlPlane

PLURALS = {"OAuthConnector": "oauthconnectors", "UserGrant": "usergrants", "Role": "roles"}

CONNECTOR = yaml.safe_load((VECTORS / "valid" / "connector-minimal.yaml").read_text())
GRANT = yaml.safe_load((VECTORS / "valid" / "grant-minimal.yaml").read_text())


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Iterator[httpx.Client]:
    control_plane.apply(load_crds().values())
    control_plane.kubectl("wait", "--for=condition=Established", "crd", *(crd["metadata"]["name"] for crd in load_crds().values()))
    with control_plane.client() as client:
        yield client


def path_of(manifest: dict[str, Any], namespace: str) -> str:
    return f"/apis/{manifest['apiVersion']}/namespaces/{namespace}/{PLURALS[manifest['kind']]}"


def create(api: httpx.Client, manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    answer = api.post(path_of(manifest, namespace), json=manifest)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def try_to_create(api: httpx.Client, manifest: dict[str, Any]) -> httpx.Response:
    return api.post(path_of(manifest, "default"), params={"fieldValidation": "Strict", "dryRun": "All"}, json=manifest)


def try_to_change(api: httpx.Client, manifest: dict[str, Any], namespace: str) -> httpx.Response:
    return api.patch(
        f"{path_of(manifest, namespace)}/{manifest['metadata']['name']}",
        params={"dryRun": "All"},
        json=[{"op": "replace", "path": "/spec", "value": manifest["spec"]}],
        headers={"Content-Type": "application/json-patch+json"},
    )


def vectors(folder: str, *, documents: int = 1) -> list[Any]:
    paths = sorted((VECTORS / folder).glob("*.yaml"))
    return [pytest.param(path, id=path.stem) for path in paths if len(list(yaml.safe_load_all(path.read_text()))) == documents]


def read_message(path: Path) -> str:
    return path.read_text().splitlines()[0].removeprefix("# message: ")


@pytest.mark.parametrize("path", vectors("valid"))
def test_valid_manifest_is_accepted(api: httpx.Client, path: Path) -> None:
    answer = try_to_create(api, yaml.safe_load(path.read_text()))
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("path", vectors("invalid"))
def test_invalid_manifest_is_refused_with_its_message(api: httpx.Client, path: Path) -> None:
    answer = try_to_create(api, yaml.safe_load(path.read_text()))
    assert answer.status_code in {400, 422}
    assert read_message(path) in answer.json()["message"]


@pytest.mark.parametrize("path", vectors("invalid", documents=2))
def test_forbidden_change_is_refused_with_its_message(api: httpx.Client, namespace: str, path: Path) -> None:
    before, after = yaml.safe_load_all(path.read_text())
    create(api, before, namespace)
    answer = try_to_change(api, after, namespace)
    assert answer.status_code == 422
    assert read_message(path) in answer.json()["message"]


def test_documented_examples_are_accepted(api: httpx.Client) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (CRDS / "README.md").read_text(), re.DOTALL)
    answers = [try_to_create(api, {**example, "metadata": {"name": "example"}}) for example in map(yaml.safe_load, blocks)]
    assert {answer.status_code for answer in answers} == {201}


@pytest.mark.parametrize(
    ("manifest", "changes"),
    [
        pytest.param(
            CONNECTOR, {"scopes": ["repo"], "pkce": "Disabled", "clientSecretRef": {"name": "another"}}, id="a connector's habits"
        ),
        pytest.param(CONNECTOR, {"tokenStorage": "Disabled"}, id="whether a connector keeps tokens"),
        pytest.param(GRANT, {"suspend": True}, id="whether a grant is suspended"),
        pytest.param(GRANT, {"scopes": ["repo"], "secrets": [{"name": "git-token"}], "revocationPolicy": "Retain"}, id="a grant's wishes"),
    ],
)
def test_what_is_not_immutable_may_change(api: httpx.Client, namespace: str, manifest: dict[str, Any], changes: dict[str, Any]) -> None:
    create(api, manifest, namespace)
    answer = try_to_change(api, {**manifest, "spec": {**manifest["spec"], **changes}}, namespace)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("manifest", "defaults"),
    [
        pytest.param(
            CONNECTOR,
            {
                "clientSecretRef": {"name": "my-app-client", "key": "clientSecret"},
                "tokenStorage": "Enabled",
                "limits": {"requestsPerSecond": 10, "concurrency": 8},
                "refresh": {"lifetimePercent": 75, "rotation": "Detect", "leewaySeconds": 0},
                "consent": {"link": "OnRequest"},
                "allowedNamespaces": {"from": "Same"},
            },
            id="a connector",
        ),
        pytest.param(GRANT, {"revocationPolicy": "Revoke", "suspend": False}, id="a grant"),
    ],
)
def test_what_is_left_out_is_filled_in(api: httpx.Client, manifest: dict[str, Any], defaults: dict[str, Any]) -> None:
    body = try_to_create(api, manifest).json()
    assert body["spec"] == {**manifest["spec"], **defaults}
    assert body["status"] == {
        "conditions": [
            {
                "type": "Ready",
                "status": "Unknown",
                "reason": "Pending",
                "message": "Waiting for the controller",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
        ]
    }


def test_delivered_format_is_filled_in(api: httpx.Client) -> None:
    manifest = {**GRANT, "spec": {**GRANT["spec"], "secrets": [{"name": "git-token"}]}}
    assert try_to_create(api, manifest).json()["spec"]["secrets"] == [{"name": "git-token", "format": "Token"}]


READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "as it should be", "lastTransitionTime": "2026-01-31T12:00:00Z"}


@pytest.mark.parametrize(
    ("manifest", "status", "columns"),
    [
        pytest.param(
            CONNECTOR,
            {"redirectURI": "https://connect.example.com/callback/team-a/git", "grants": 12},
            {
                "Grants": 12,
                "Ready": "True",
                "Reason": "Ready",
                "Provider": None,
                "Redirect URI": "https://connect.example.com/callback/team-a/git",
                "Message": "as it should be",
            },
            id="a connector",
        ),
        pytest.param(
            GRANT,
            {
                "tokenState": "Active",
                "expirationTime": "2026-01-31T12:00:00Z",
                "nextRefreshTime": "2026-01-31T11:45:00Z",
                "grantedScopes": ["openid", "repo"],
                "consentURL": "https://connect.example.com/consent/team-a/alice/id",
            },
            {
                "Connector": "git",
                "User": "alice@example.com",
                "Token": "Active",
                "Ready": "True",
                "Reason": "Ready",
                "Expires": "2026-01-31T12:00:00Z",
                "Refresh": "2026-01-31T11:45:00Z",
                "Scopes": '["openid","repo"]',
                "Consent": "https://connect.example.com/consent/team-a/alice/id",
                "Message": "as it should be",
            },
            id="a grant",
        ),
    ],
)
def test_kubectl_get_shows(
    api: httpx.Client, namespace: str, manifest: dict[str, Any], status: dict[str, Any], columns: dict[str, str]
) -> None:
    create(api, manifest, namespace)
    table = api.patch(
        f"{path_of(manifest, namespace)}/{manifest['metadata']['name']}/status",
        params={"dryRun": "All"},
        json={"status": {**status, "conditions": [READY]}},
        headers={"Content-Type": "application/merge-patch+json", "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
    ).json()
    shown = dict(zip((column["name"] for column in table["columnDefinitions"]), table["rows"][0]["cells"], strict=True))
    assert {name: cell for name, cell in shown.items() if name not in {"Name", "Age"}} == columns


@pytest.mark.parametrize(("length", "code"), [(256, 200), (257, 422)])
def test_a_wish_for_a_refresh_is_shown_up_to_256_characters(api: httpx.Client, namespace: str, length: int, code: int) -> None:
    create(api, GRANT, namespace)
    answer = api.patch(
        f"{path_of(GRANT, namespace)}/{GRANT['metadata']['name']}/status",
        params={"dryRun": "All"},
        json={"status": {"lastHandledRefresh": length * "é"}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.status_code == code, answer.text


@pytest.mark.parametrize("selector", ["spec.user=alice@example.com", "spec.connectorRef.name=git"])
def test_grants_are_found_by(api: httpx.Client, namespace: str, selector: str) -> None:
    create(api, GRANT, namespace)
    create(api, {**GRANT, "metadata": {"name": "other"}, "spec": {"connectorRef": {"name": "mail"}, "user": "bob@example.com"}}, namespace)
    found = api.get(path_of(GRANT, namespace), params={"fieldSelector": selector}).json()["items"]
    assert [grant["metadata"]["name"] for grant in found] == ["minimal"]
