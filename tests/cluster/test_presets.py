"""Presets on the real API server. No vendor can be reached from here, and the status has to say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.stage import Object, Stage, condition, status
from parts.person import Person

EXAMPLE = Path(__file__).parents[2] / "examples" / "03-providers" / "connector.yaml"


def reasons(connector: Object) -> dict[str, str]:
    """The reasons of the conditions, by their types."""
    return {c["type"]: c["reason"] for c in status(connector).get("conditions", ())}


def columns(stage: Stage, name: str) -> dict[str, str]:
    """What `kubectl get oauthconnector` shows of one."""
    head, row = stage.control_plane.kubectl("-n", stage.namespace, "get", "oac", name).splitlines()
    return dict(zip(head.split(), row.split(), strict=True))


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"provider": "githbu"},
            "spec.provider githbu names no preset of this release; there are github, gitlab, google, microsoft. "
            "It cannot be changed: delete this connector and create it anew.",
            id="no such preset",
        ),
        pytest.param(
            {"provider": "microsoft"},
            "Preset microsoft needs spec.parameters.tenant: the ID of the Microsoft Entra tenant, a GUID in lower case,",
            id="a parameter is missing",
        ),
        pytest.param(
            {"provider": "gitlab", "parameters": {"host": "git.example.com/path"}},
            "spec.parameters.host does not fit preset gitlab: the host of a self-managed GitLab,",
            id="a parameter that does not fit",
        ),
    ],
)
def test_a_connector_that_names_no_server_says_what_there_is(stage: Stage, spec: dict[str, Any], sentence: str) -> None:
    stage.add_connector(issuer=None, **spec)
    stage.add_grant()
    found = stage.wait_connector("calendar", lambda connector: reasons(connector).get("Ready") == "UnknownProvider")
    assert condition(found, "Accepted")["status"] == "False"
    assert sentence in condition(found, "Accepted")["message"]
    assert condition(found, "Reachable")["status"] == "Unknown"
    assert condition(found, "Stalled")["status"] == "True"
    shown = columns(stage, "calendar")
    assert (shown["READY"], shown["REASON"], shown["PROVIDER"]) == ("False", "UnknownProvider", spec["provider"])
    waiting = stage.wait_grant("alice", lambda grant: condition(grant, "Authorized")["status"] == "Unknown")
    assert "consentURL" not in status(waiting)


def test_the_example_knows_where_github_is_and_that_it_cannot_be_reached(stage: Stage) -> None:
    _, *objects = yaml.safe_load_all(EXAMPLE.read_text())
    stage.control_plane.apply([{**body, "metadata": {**body["metadata"], "namespace": stage.namespace}} for body in objects])
    found = stage.wait_connector("github", lambda connector: reasons(connector).get("Ready") not in {None, "Pending"})
    assert reasons(found) == {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs", "Reachable": "Unreachable", "Ready": "Unreachable"}
    assert status(found)["server"]["authorizationEndpoint"] == "https://github.com/login/oauth/authorize"
    assert columns(stage, "github")["PROVIDER"] == "github"


def test_a_preset_whose_metadata_cannot_be_had_is_not_accepted_yet(stage: Stage) -> None:
    stage.add_connector(issuer=None, caBundle=None, provider="google")
    found = stage.wait_connector("calendar", lambda connector: reasons(connector).get("Ready") not in {None, "Pending"})
    assert reasons(found)["Accepted"] == "DiscoveryFailed"
    assert reasons(found)["Reachable"] == "Unreachable"
    assert condition(found, "Stalled")["status"] == "Unknown", "it may come"


def test_people_are_asked_in_the_words_of_the_preset(stage: Stage) -> None:
    host = stage.auth_server.issuer.removeprefix("https://")
    stage.add_connector(issuer=None, provider="gitlab", parameters={"host": host}, scopes=["openid", "read_user"])
    stage.add_grant()
    ready = stage.wait_connector("calendar", lambda connector: reasons(connector).get("Ready") == "Ready")
    assert status(ready)["server"]["authorizationEndpoint"] == f"https://{host}/oauth/authorize"
    with Person("alice", trusting=[stage.auth_server.ca]) as person:
        page = person.open(stage.link())
    assert "Connect your GitLab account?" in page.text
    assert "Read your profile, with your public e-mail address" in page.text
    assert host in page.text
