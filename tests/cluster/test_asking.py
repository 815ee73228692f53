"""Links on request, and scopes that grow, on real parts: who may ask has the link, and the old token stays until the new one is there."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.stage import Object, Stage, condition, sha256, status
from contracts.schemas import CRDS
from parts import commands, private
from parts.person import Page, Person

READ, WRITE = "calendar.read", "calendar.write"
OPENID = ["openid", "offline_access"]
DOCUMENTATION = (CRDS / "README.md").read_text()


def follow(stage: Stage, link: str, **answers: Any) -> Page:
    """Alice opens a link and answers; the page she sees last."""
    with Person("alice", trusting=[stage.auth_server.ca]) as person:
        return person.consent(link, **answers)


def states(grant: Object) -> list[str]:
    return [request["state"] for request in status(grant).get("consentRequests", [])]


def give_account(stage: Stage, directory: Path, *rules: Object) -> Path:
    """The kubeconfig of a ServiceAccount with these rights in the stage's namespace."""
    name, rbac = f"asker-{secrets.token_hex(4)}", "rbac.authorization.k8s.io"
    metadata = {"name": name, "namespace": stage.namespace}
    stage.control_plane.apply(
        [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": list(rules)},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", **metadata}],
            },
        ]
    )
    config = yaml.safe_load(stage.control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": stage.control_plane.token_of(stage.namespace, name)}
    path = directory / f"{name}.kubeconfig"
    private.write(path, yaml.safe_dump(config))
    return path


def run_the_documented_lines(stage: Stage, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    """The three lines of crds/README.md as they stand there, but for the namespace and the external URL."""
    (lines,) = (block for block in re.findall(r"```sh\n(.*?)```", DOCUMENTATION, re.DOTALL) if "openssl" in block)
    assert len(lines.splitlines()) == 3
    script = lines.replace("team-a", stage.namespace).replace("https://connect.example.com", stage.installation.external_url)
    path = os.pathsep.join([str(Path(commands.kubectl()).parent), os.environ["PATH"]])
    return subprocess.run(
        ["/bin/sh", "-e"],
        input=script,
        env={"PATH": path, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(kubeconfig.parent / "kubectl")},
        capture_output=True,
        text=True,
        check=False,
    )


def documented_rules() -> list[Object]:
    """The rules of the Role that crds/README.md shows."""
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCUMENTATION, re.DOTALL)]
    (role,) = (block for block in blocks if block["kind"] == "Role")
    return list(role["rules"])


def test_the_documented_lines_make_a_link_that_becomes_a_token(stage: Stage, tmp_path: Path) -> None:
    stage.add_connector(consent=None)
    stage.add_grant()
    waiting = stage.wait_reason("alice", "AwaitingConsent")
    assert "usergrants/consent" in condition(waiting, "Ready")["message"]
    assert "sealedSecretName" not in status(waiting), "somebody is asked already"
    done = run_the_documented_lines(stage, give_account(stage, tmp_path, *documented_rules()))
    assert done.returncode == 0, done.stderr
    link = done.stdout.splitlines()[-1]
    page = follow(stage, link)
    assert "is connected" in page.heading
    ready = stage.wait_ready()
    (request,) = status(ready)["consentRequests"]
    request_id = link.rpartition("/")[2]
    assert (request["hash"], request["state"]) == (sha256(request_id), "Granted")
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    seen = [json.dumps(ready), json.dumps(stage.sealed()), *(log.read_text() for log in stage.installation.logs)]
    assert not [text for text in seen if request_id in text], "the id is where nobody but who made it should have it"


def test_without_the_right_the_documented_lines_say_which_is_missing(stage: Stage, tmp_path: Path) -> None:
    stage.add_connector(consent=None)
    stage.add_grant()
    stage.wait_reason("alice", "AwaitingConsent")
    rules = [rule for rule in documented_rules() if "usergrants/consent" not in rule["resources"]]
    done = run_the_documented_lines(stage, give_account(stage, tmp_path, *rules))
    assert done.returncode != 0
    assert (
        f"must have the right to create usergrants/consent, of the API group grantkeeper.dev, for alice in the namespace {stage.namespace}"
        in (done.stderr)
    )
    assert states(stage.get(stage.grant_path())) == []


def test_a_link_is_spent_by_its_answer_and_a_restart_opens_none_again(stage: Stage) -> None:
    stage.add_connector(consent={"link": "OnRequest"})
    stage.add_grant()
    link = stage.ask_for_link()
    assert follow(stage, link, deny=True).heading == "Nothing was connected"
    denied = stage.wait_reason("alice", "ConsentDenied")
    assert states(denied) == ["Refused"]
    assert follow(stage, link).heading == "Nothing was connected"
    stage.installation.controller.restart()
    stage.add_grant("bob")
    stage.wait_reason("bob", "AwaitingConsent")  # it has looked at everything by now
    assert states(stage.get(stage.grant_path())) == ["Refused"]
    follow(stage, stage.ask_for_link())
    assert states(stage.wait_ready()) == ["Refused", "Granted"]


def test_a_link_that_is_opened_before_its_request_is_waits_for_it(stage: Stage) -> None:
    stage.add_connector(consent={"link": "OnRequest"})
    stage.add_grant(scopes=["not.offered"])
    stage.wait_reason("alice", "ScopesNotOffered")
    link = stage.ask_for_link()
    with Person("alice", trusting=[stage.auth_server.ca]) as person:
        assert person.open(link).heading == "One moment"
        stage.patch_grant(spec={"scopes": [*OPENID, READ]})
        person.consent(link)
    stage.wait_ready()


def test_consent_is_given_anew_where_links_are_shown_too(stage: Stage) -> None:
    generation = status(stage.make_ready())["tokenGeneration"]
    first = stage.delivered()["access_token"]
    link = stage.ask_for_link()
    follow(stage, link)
    ready = stage.wait_refreshed("alice", generation)
    assert "consentURL" not in status(ready)
    assert stage.delivered()["access_token"] != first


def widen(stage: Stage, *, link: str = "Status") -> Object:
    """Alice has consented to reading, with tokens of eight seconds; writing is wanted from now on. The grant once it says so."""
    stage.add_connector(lifetime=8, scopes=[*OPENID, READ, WRITE], consent={"link": link})
    stage.add_grant(scopes=[*OPENID, READ])
    follow(stage, stage.link() if link == "Status" else stage.ask_for_link())
    assert "missingScopes" not in status(stage.wait_ready())
    stage.patch_grant(spec={"scopes": [*OPENID, READ, WRITE]})
    return stage.wait_grant("alice", lambda grant: status(grant).get("missingScopes") == [WRITE])


@pytest.mark.parametrize("link", ["Status", "OnRequest"])
def test_the_old_token_is_delivered_and_refreshed_until_the_wider_consent_is_given(stage: Stage, link: str) -> None:
    wider = widen(stage, link=link)
    generation = status(wider)["tokenGeneration"]
    for _ in range(2):
        wider = stage.wait_refreshed("alice", generation)
        generation = status(wider)["tokenGeneration"]
        assert WRITE not in stage.delivered()["scope"].split()
        assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
        assert f"Still to be consented to: {WRITE}." in condition(wider, "Authorized")["message"]
        assert (condition(wider, "Authorized")["status"], status(wider)["missingScopes"]) == ("True", [WRITE])
        assert ("consentURL" in status(wider)) is (link == "Status")
    address = stage.link() if link == "Status" else stage.ask_for_link()
    with Person("alice", trusting=[stage.auth_server.ca]) as person:
        if link == "Status":
            assert "New" in person.open(address).text
        person.consent(address)
    done = stage.wait_grant("alice", lambda grant: WRITE in status(grant).get("grantedScopes", []))
    done = stage.wait_refreshed("alice", generation)
    assert "missingScopes" not in status(done)
    assert not condition(done, "Authorized")["message"]
    assert WRITE in stage.delivered()["scope"].split()
    assert len(stage.presented()) == len(set(stage.presented())) >= 2


def test_who_denies_the_wider_scopes_keeps_the_token(stage: Stage) -> None:
    generation = status(widen(stage))["tokenGeneration"]
    page = follow(stage, stage.link(), deny=True)
    assert "What was connected before stays connected." in page.text
    denied = stage.wait_grant("alice", lambda grant: "Refused" in states(grant))
    assert condition(denied, "Authorized")["reason"] == "Consented"
    after = stage.wait_refreshed("alice", max(generation, status(denied)["tokenGeneration"]))
    assert status(after)["missingScopes"] == [WRITE]
    assert "ended in ConsentDenied" in condition(after, "Authorized")["message"]
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]


def test_what_the_server_does_not_grant_is_said_and_not_asked_for_again(stage: Stage) -> None:
    unknown = "calendar.of-another-server"
    stage.add_connector(lifetime=8, scopes=[*OPENID, READ, unknown])
    stage.add_grant()
    stage.consent()
    ready = stage.wait_ready()
    assert status(ready)["missingScopes"] == [unknown]
    assert set(status(ready)["grantedScopes"]) == {*OPENID, READ}
    refreshed = stage.wait_refreshed("alice", status(ready)["tokenGeneration"])
    assert states(refreshed) == ["Granted"]
    assert status(refreshed)["missingScopes"] == [unknown]
    assert not condition(refreshed, "Authorized")["message"]
