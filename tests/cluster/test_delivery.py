"""Delivered Secrets on the real API server, with the chart's admission policy on: their files, and how they come, heal and go."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.stage import WITHIN, Object, Stage, condition, status
from parts.mounted import MountedSecret
from parts.waiting import wait_for

EXAMPLE = Path(__file__).parents[2] / "examples" / "02-formats"
MERGE = {"Content-Type": "application/merge-patch+json"}
TWO: list[Object] = [{"name": "alice-token"}, {"name": "alice-header", "format": "Header"}]


@pytest.fixture
def two(stage: Stage) -> Stage:
    """A grant that delivers to two Secrets, each once."""
    stage.add_connector(lifetime=3600)
    stage.add_grant(secrets=TWO)
    stage.consent()
    stage.wait_ready()
    return stage


def path_of(stage: Stage, name: str) -> str:
    return f"/api/v1/namespaces/{stage.namespace}/secrets/{name}"


def find(stage: Stage, name: str) -> Object | None:
    with stage.control_plane.client() as client:
        answer = client.get(path_of(stage, name))
    return dict(answer.json()) if answer.is_success else None


def wait_secret(stage: Stage, name: str, holds: Callable[[Object | None], bool]) -> float:
    """How many seconds it took until something held of the Secret, or of its absence."""
    start = time.monotonic()
    wait_for(lambda: holds(find(stage, name)), f"Secret {name} to be as it should be", within=WITHIN)
    return time.monotonic() - start


def patch(stage: Stage, name: str, change: Object) -> None:
    with stage.control_plane.client() as client:
        client.patch(path_of(stage, name), json=change, headers=MERGE).raise_for_status()


def recorded(stage: Stage) -> dict[str, Any]:
    """The deliveries in the grant's sealed Secret."""
    return dict(json.loads(base64.b64decode(stage.sealed()["data"]["deliveries"])))


def mount(stage: Stage, name: str, directory: Path) -> dict[str, str]:
    """What a Pod that mounts the Secret reads in its files."""
    secret = find(stage, name)
    assert secret is not None
    MountedSecret(directory / name).show(secret)
    return {file.name: file.read_text() for file in (directory / name).iterdir() if not file.name.startswith("..")}


def test_the_example_delivers_each_form(stage: Stage, tmp_path: Path) -> None:
    [grant] = yaml.safe_load_all((EXAMPLE / "grant.yaml").read_text())
    name, spec = grant["metadata"]["name"], grant["spec"]
    stage.add_connector(spec["connectorRef"]["name"], lifetime=3600)
    stage.control_plane.apply([{**grant, "metadata": {"name": name, "namespace": stage.namespace}}])
    stage.consent(name, account="bob")
    ready = status(stage.wait_ready(name))
    files = {secret["name"]: mount(stage, secret["name"], tmp_path) for secret in spec["secrets"]}
    token = files["bob-token"]["access_token"]
    members = {"access_token": token, "token_type": "Bearer", "expires_at": ready["expirationTime"], "scope": files["bob-token"]["scope"]}
    assert stage.auth_server.introspect(token)["active"]
    assert set(members["scope"].split()) == set(ready["grantedScopes"])
    assert files["bob-token"] == members
    assert files["bob-header"] == {"authorization": f"Bearer {token}", "header": f"Authorization: Bearer {token}\n"}
    assert json.loads(files["bob-json"]["token.json"]) == members
    assert files["bob-env"] == {"CALENDAR_TOKEN": token}
    dotenv = shlex.quote(str(tmp_path / "bob-dotenv" / ".env"))
    read = subprocess.run(
        ["/bin/sh", "-c", f'. {dotenv}; echo "$CALENDAR_TOKEN" "$CALENDAR_TOKEN_EXPIRES"'], stdout=subprocess.PIPE, check=True
    )
    assert read.stdout.decode().split() == [token, members["expires_at"]]
    own = files["bob-files"]
    assert own[".netrc"] == f"machine calendar.example.com login bob%40example.com password {token}"
    assert json.loads(own["settings.json"]) == {"user": "bob@example.com", "account": "bob", "token": token}
    assert base64.b64decode(own["basic"].removeprefix("Basic ")).decode() == token
    dressed = stage.get(path_of(stage, "bob-files"))["metadata"]
    assert dressed["labels"]["team"] == "dashboard"
    assert dressed["annotations"]["example.com/contact"] == "dashboard@example.com"


def test_what_is_deleted_or_edited_is_back_within_a_second(two: Stage) -> None:
    two.add_grant(secrets=[{**TWO[0], "labels": {"team": "reports"}}])
    wait_secret(two, "alice-token", lambda s: s is not None and s["metadata"]["labels"].get("team") == "reports")
    wanted = two.get(path_of(two, "alice-token"))

    def is_back(secret: Object | None) -> bool:
        return (
            secret is not None
            and secret["data"] == wanted["data"]
            and secret["metadata"]["labels"].items() >= wanted["metadata"]["labels"].items()
        )

    patch(two, "alice-token", {"metadata": {"labels": {"theirs": "x"}, "annotations": {"their-note": "y"}}})
    edits = ({"data": {"access_token": "eA=="}}, {"data": {"more": "eA=="}}, {"metadata": {"labels": {"team": "other"}}})
    took = []
    for edit in edits:
        patch(two, "alice-token", edit)
        took.append(wait_secret(two, "alice-token", is_back))
    kept = two.get(path_of(two, "alice-token"))["metadata"]
    assert (kept["labels"]["theirs"], kept["annotations"]["their-note"]) == ("x", "y"), "what others add stays"
    two.delete(path_of(two, "alice-token"))
    took.append(wait_secret(two, "alice-token", is_back))
    assert min(took) < 1, "a machine that stands still now and then lengthens some"
    two.add_grant(secrets=[TWO[0]])
    wait_secret(two, "alice-token", lambda s: s is not None and "team" not in s["metadata"]["labels"])


def test_an_entry_that_leaves_takes_its_secret_along(two: Stage) -> None:
    two.add_grant(secrets=TWO[:1])
    wait_secret(two, "alice-header", lambda secret: secret is None)
    assert condition(two.wait_ready(), "Delivered")["reason"] == "Delivered"
    two.add_grant(secrets=TWO)
    wait_secret(two, "alice-header", lambda secret: secret is not None)


def test_an_entry_that_left_while_the_controller_was_down_takes_its_secret_along(stage: Stage) -> None:
    stage.add_connector(lifetime=12)
    third = {"name": "alice-json", "format": "JSON"}
    stage.add_grant(secrets=[*TWO, third])
    stage.consent()
    generation = status(stage.wait_ready())["tokenGeneration"]
    stage.wait_refreshed("alice", generation)
    assert all("uid" in delivery and delivery["uid"] for delivery in recorded(stage).values()), "a refresh binds what was delivered"
    stage.installation.controller.stop()
    generation = json.loads(base64.b64decode(stage.sealed()["data"]["meta"]))["generation"]
    try:
        stage.add_grant(secrets=TWO[:1])
        theirs = stage.get(path_of(stage, "alice-json"))
        stage.delete(path_of(stage, "alice-json"))
        metadata = {key: value for key, value in theirs["metadata"].items() if key in {"name", "namespace", "labels", "annotations"}}
        stage.control_plane.apply([{**theirs, "metadata": metadata}])
    finally:
        stage.installation.controller.start()
    wait_secret(stage, "alice-header", lambda secret: secret is None)
    stage.wait_refreshed("alice", generation)
    assert set(recorded(stage)) == {"alice-token"}
    assert find(stage, "alice-json"), "one that bears our marks and not the uid is somebody's own"


def test_a_conflict_heals_when_the_other_secret_goes(stage: Stage) -> None:
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "alice-token", "namespace": stage.namespace}}
    stage.control_plane.apply([{**foreign, "data": {"mine": "eA=="}}])
    stage.add_connector()
    stage.add_grant()
    stage.consent()
    conflict = stage.wait_reason("alice", "SecretConflict")
    assert condition(conflict, "Stalled")["status"] == "True"
    assert "alice-token" in condition(conflict, "Delivered")["message"]
    stage.delete(path_of(stage, "alice-token"))
    healed = stage.wait_ready()
    assert condition(healed, "Stalled")["status"] == "Unknown"


def test_two_grants_do_not_share_a_secret(stage: Stage) -> None:
    stage.make_ready()
    stage.add_grant("bob", secrets=TWO[:1])
    stage.consent("bob")
    stage.wait_reason("bob", "SecretConflict")
    assert condition(stage.get(stage.grant_path("alice")), "Ready")["status"] == "True"
    stage.add_grant("alice", secrets=TWO[1:])
    stage.wait_ready("bob")
    stage.wait_ready("alice")


def test_a_template_that_cannot_be_filled_is_said_before_anybody_is_asked(stage: Stage) -> None:
    stage.add_connector()
    stage.add_grant(secrets=[{"name": "alice-token", "templates": {"netrc": "password [[ refresh_token ]]"}}])
    wrong = stage.wait_reason("alice", "InvalidTemplate")
    assert condition(wrong, "Accepted")["message"] == (
        "spec.secrets[alice-token].templates[netrc]: [[ refresh_token ]] names no placeholder; "
        "there are access_token, token_type, expires_at, scope, user, account."
    )
    assert condition(wrong, "Stalled")["status"] == "True"
    assert "consentURL" not in status(wrong)
    stage.add_grant(secrets=[{"name": "alice-token", "templates": {"netrc": "password [[ access_token ]]"}}])
    stage.consent()
    stage.wait_ready()
    assert stage.delivered()["netrc"] == f"password {stage.delivered()['access_token']}"
