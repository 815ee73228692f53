"""Wrong input: each has its sentence, which says what to do, and costs nothing. Corrected, everything goes on."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from cluster.stage import API, CLIENT_SECRET, Object, Stage, condition, status
from fakes.scripted_server import Script, ScriptedServer, scripted_server
from parts.certificates import CA, make_ca
from parts.launcher import Installation
from parts.waiting import wait_for

A_DAY = 24 * 3600
HTML = Script(body=b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"})


# The keyring


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        pytest.param(
            b"31 bytes, which is one too few.", "'key-1' is not 32 bytes, raw or in base64: put the right key back", id="too short"
        ),
        pytest.param(None, "is missing, and what is sealed in grantkeeper opens with no other: restore it from its backup", id="missing"),
    ],
)
def test_a_keyring_that_will_not_do_stops_the_controller_and_touches_nothing(stage: Stage, key: bytes | None, sentence: str) -> None:
    stage.make_ready(lifetime=A_DAY)
    sealed, delivered = stage.sealed(), stage.delivered()
    with _keyring_replaced(stage, {"active": b"key-1", "key-1": key} if key else None) as replaced:
        said = _end_of_controller(stage)
        assert sentence in said
        assert "Traceback" not in said
        assert stage.sealed() == sealed
        assert _read(stage, replaced) == (_encode({"active": b"key-1", "key-1": key}) if key else None), "a keyring was made anew"
    stage.installation.controller.start()
    stage.delete(f"/api/v1/namespaces/{stage.namespace}/secrets/alice-token")
    wait_for(lambda: _read(stage, f"/api/v1/namespaces/{stage.namespace}/secrets/alice-token") is not None, "the token to be delivered")
    assert stage.delivered() == delivered


@contextmanager
def _keyring_replaced(stage: Stage, data: dict[str, bytes] | None) -> Iterator[str]:
    """Stop the controller and put another keyring in the place of the one it has, or none; the right one returns at the end."""
    stage.installation.controller.stop()
    home = f"/api/v1/namespaces/{stage.installation.namespace}/secrets"
    path = f"{home}/grantkeeper-keyring"
    right = stage.get(path)
    kept = {name: right["metadata"][name] for name in ("name", "labels")}
    with stage.control_plane.client() as client:
        client.delete(path).raise_for_status()
        if data is not None:
            client.post(home, json={**right, "metadata": kept, "data": _encode(data)}).raise_for_status()
        try:
            yield path
        finally:
            client.delete(path)
            client.post(home, json={**right, "metadata": kept}).raise_for_status()


def _end_of_controller(stage: Stage) -> str:
    """Start the controller, which cannot work as things are; what it says before it ends."""
    log = stage.installation.controller.log
    before = log.stat().st_size
    stage.installation.controller.start()
    assert stage.installation.controller.wait(30) == 2
    return log.read_bytes()[before:].decode()


# The client secret


@dataclass(frozen=True)
class WrongSecret:
    """A client Secret as somebody wrote it, and what a connector has to say about it."""

    reason: str
    sentence: str
    data: dict[str, bytes] | None = field(default_factory=lambda: {"clientSecret": CLIENT_SECRET.encode()})
    labels: dict[str, str] | None = None


WRONG_SECRETS = {
    "missing": WrongSecret("SecretNotFound", "There is no Secret missing-secret; create it with the key clientSecret and the label", None),
    "unlabelled": WrongSecret("SecretNotOffered", "label it grantkeeper.dev/connector=unlabelled", labels={}),
    "mislabelled": WrongSecret("SecretNotOffered", "is not offered", labels={"grantkeeper.dev/connector": "another"}),
    "keyless": WrongSecret("SecretKeyMissing", "has no key clientSecret; add it, or name another key", {"client_secret": b"x"}),
    "broken": WrongSecret("SecretInvalid", "write it without a newline", {"clientSecret": f"{CLIENT_SECRET}\n".encode()}),
}


def test_a_client_secret_that_will_not_do_is_said_and_heals(stage: Stage) -> None:
    for name, wrong in WRONG_SECRETS.items():
        if wrong.data is not None:
            _write_client_secret(stage, name, wrong.data, wrong.labels)
        reference = {"name": f"{name}-secret"}
        stage.add_connector(name, lifetime=A_DAY, clientID=f"{stage.client_id}-{name}", clientSecretRef=reference)
    stage.add_grant(connector="unlabelled")
    for name, wrong in WRONG_SECRETS.items():
        found = stage.wait_connector(name, _says(wrong.reason))
        assert condition(found, "ResolvedRefs")["status"] == "False"
        assert wrong.sentence in condition(found, "ResolvedRefs")["message"]
        assert condition(found, "Stalled")["status"] == "True"
        assert CLIENT_SECRET not in json.dumps(found)
    assert "consentURL" not in status(stage.get(stage.grant_path())), "somebody was asked in vain"
    for name in WRONG_SECRETS:
        _write_client_secret(stage, name, {"clientSecret": CLIENT_SECRET.encode()})
    for name in WRONG_SECRETS:
        stage.wait_connector(name, _is_ready, within=30)
    stage.consent()
    stage.wait_ready()


def test_a_client_secret_that_the_server_rejects_ends_no_grant(stage: Stage) -> None:
    _write_client_secret(stage, "calendar", {"clientSecret": CLIENT_SECRET.encode()})
    stage.add_connector(lifetime=40, clientSecretRef={"name": "calendar-secret"})
    stage.add_grant()
    stage.consent()
    stage.wait_ready()
    delivered = stage.delivered()
    _write_client_secret(stage, "calendar", {"clientSecret": b"not the right one"})
    rejected = stage.wait_connector("calendar", _says("ClientRejected"))
    assert condition(rejected, "Stalled")["status"] == "True"
    assert "If spec.clientID is wrong, delete this connector" in condition(rejected, "Reachable")["message"]
    alive = stage.wait_grant("alice", lambda grant: "rejects the client" in condition(grant, "Fresh")["message"])
    assert condition(alive, "Ready")["status"] == "True", "the token lives"
    assert stage.delivered() == delivered
    expired = stage.wait_reason("alice", "RefreshFailing")
    assert condition(expired, "Authorized")["status"] == "True", "nobody has to be asked again"
    _write_client_secret(stage, "calendar", {"clientSecret": CLIENT_SECRET.encode()})
    stage.wait_refreshed("alice", 1)
    stage.wait_connector("calendar", _is_ready)
    entries = [entry for entry in stage.auth_server.ledger(stage.client_id) if entry["grant_type"] == "refresh_token"]
    assert {entry["error"] for entry in entries} == {"invalid_client", None}
    spent = [entry["presented"] for entry in entries if entry["error"] is None]
    assert len(spent) == len(set(spent)) > 0


def test_a_consent_with_a_wrong_client_secret_is_asked_again_once_it_is_right(stage: Stage) -> None:
    _write_client_secret(stage, "calendar", {"clientSecret": b"not the right one"})
    stage.add_connector(lifetime=A_DAY, clientSecretRef={"name": "calendar-secret"})
    stage.add_grant()
    link = stage.link()
    page = stage.consent()
    assert "ExchangeFailed" in page.text
    stage.wait_connector("calendar", _says("ClientRejected"))
    failed = stage.wait_reason("alice", "ExchangeFailed")
    assert "consentURL" not in status(failed), "nobody is asked while the server rejects the client"
    _write_client_secret(stage, "calendar", {"clientSecret": CLIENT_SECRET.encode()})
    stage.wait_grant("alice", lambda grant: status(grant).get("consentURL") not in {None, link})
    stage.consent()
    stage.wait_ready()


# The server


def test_a_server_that_cannot_be_used_is_said_and_heals(stage: Stage, tmp_path: Path) -> None:
    authority = make_ca(tmp_path)
    with _serving(authority) as page, _serving(authority) as impostor:
        page.answer(HTML)
        impostor.answer(_metadata("https://login.example.com"))
        ours = base64.b64encode(authority.path.read_bytes()).decode()
        wrong: dict[str, tuple[dict[str, Any], str, str]] = {
            "page": ({"issuer": _url(page), "caBundle": ours}, "DiscoveryFailed", "with an HTML page where its metadata should be"),
            "impostor": ({"issuer": _url(impostor), "caBundle": ours}, "IssuerMismatch", "speaks for another issuer than spec.issuer"),
            "misspelt": ({"issuer": f"{stage.auth_server.issuer}/misspelt"}, "DiscoveryFailed", "delete this connector and create it anew"),
            "stranger": ({"caBundle": ours}, "DiscoveryFailed", "put the certificate of the authority that signed it, as PEM, into"),
            "garbled": ({"caBundle": "bm90IGEgY2VydGlmaWNhdGU="}, "DiscoveryFailed", "spec.caBundle holds no certificate in PEM"),
            "metadata-service": ({"issuer": "https://169.254.169.254"}, "DiscoveryFailed", "169.254.169.254, which is link-local"),
            "internal": ({"issuer": "https://10.0.0.1"}, "DiscoveryFailed", "which is private; if that is where the server should be"),
        }
        for name, (spec, _, _) in wrong.items():
            stage.add_connector(name, clientID=f"{stage.client_id}-{name}", **spec)
        for name, (_, reason, sentence) in wrong.items():
            found = stage.wait_connector(name, _says(reason))
            assert sentence in condition(found, "Accepted")["message"]
        assert {request.method for request in page.received} == {"GET"}
        page.answer(_metadata(_url(page)))
        impostor.answer(_metadata(_url(impostor)))
        for name in ("stranger", "garbled"):
            _patch_connector(stage, name, {"caBundle": stage.auth_server.ca_bundle})
        for name in ("page", "impostor", "stranger", "garbled"):
            stage.wait_connector(name, _is_ready, within=30)


def test_a_certificate_that_does_not_verify_any_more_spends_no_token(stage: Stage, tmp_path: Path) -> None:
    stage.make_ready(lifetime=24)
    _patch_connector(stage, "calendar", {"caBundle": base64.b64encode(make_ca(tmp_path).path.read_bytes()).decode()})
    stage.wait_grant("alice", lambda grant: status(grant).get("failedRefreshes", 0) > 0)
    assert stage.presented() == []
    _patch_connector(stage, "calendar", {"caBundle": stage.auth_server.ca_bundle})
    stage.wait_refreshed("alice", 1)
    assert len(stage.presented()) == 1


@contextmanager
def _serving(authority: CA) -> Iterator[ScriptedServer]:
    """A scripted server on 127.0.0.1, in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(scripted_server(*authority.issue(["127.0.0.1"]))) as server:
        yield server


def _url(server: ScriptedServer) -> str:
    return f"https://127.0.0.1:{server.port}"


def _metadata(issuer: str) -> Script:
    document = {"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token"}
    return Script(body=json.dumps(document).encode())


# The environment


def test_a_port_that_is_taken_is_said(grantkeeper: Installation) -> None:
    listen = f"127.0.0.1:{grantkeeper.port}"
    ended = _run("consent", GRANTKEEPER_EXTERNAL_URL=grantkeeper.external_url, GRANTKEEPER_LISTEN=listen)
    assert ended.returncode == 2
    assert ended.stderr == f"grantkeeper: GRANTKEEPER_LISTEN is {listen}, and that cannot be listened on: Address already in use.\n"


@pytest.mark.parametrize("command", ["controller", "consent"])
def test_an_external_url_without_encryption_is_refused(command: str) -> None:
    ended = _run(command, GRANTKEEPER_EXTERNAL_URL="http://consent.example.com", GRANTKEEPER_POD_NAME="a-pod", GRANTKEEPER_POD_UID="a-uid")
    assert ended.returncode == 2
    assert ended.stderr == (
        "grantkeeper: GRANTKEEPER_EXTERNAL_URL must begin with https://, or, on a loopback host for development, http://: "
        "the URL under which people's browsers reach the consent pages, such as https://connect.example.com.\n"
    )


def _run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that cannot work, with this environment and no other; what it printed."""
    return subprocess.run(
        [Path(sys.executable).with_name("grantkeeper"), command],
        env={"GRANTKEEPER_NAMESPACE": "grantkeeper", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# What is written and read


def _is_ready(thing: Object) -> bool:
    return bool(condition(thing, "Ready")["status"] == "True")


def _says(reason: str) -> Callable[[Object], bool]:
    return lambda thing: bool(condition(thing, "Ready")["reason"] == reason)


def _write_client_secret(stage: Stage, connector: str, data: dict[str, bytes], labels: dict[str, str] | None = None) -> None:
    """Put the client Secret of a connector there, offered to it unless `labels` say otherwise."""
    metadata = {"name": f"{connector}-secret", "namespace": stage.namespace}
    offered = {"grantkeeper.dev/connector": connector} if labels is None else labels
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "labels": offered}, "data": _encode(data)}
    stage.control_plane.apply([body])


def _patch_connector(stage: Stage, name: str, spec: Object) -> None:
    with stage.control_plane.client() as client:
        client.patch(
            f"{API}/namespaces/{stage.namespace}/oauthconnectors/{name}",
            json={"spec": spec},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()


def _read(stage: Stage, path: str) -> dict[str, str] | None:
    """The data of a Secret as it is stored; None where there is none."""
    with stage.control_plane.client() as client:
        answer = client.get(path)
    return dict(answer.json()["data"]) if answer.is_success else None


def _encode(data: dict[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}
