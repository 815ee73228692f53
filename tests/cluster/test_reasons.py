"""Every reason is said on the real API server where it holds, and tells what to do; so `kubectl wait` can be relied upon."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from cluster.situations import CONNECTOR, GRANT, TABLE, Director, Situation, wait_said
from cluster.stage import Object, Stage, condition, status
from fakes.scripted_server import scripted_server
from grantkeeper.core.reasons import OF_A_CONNECTOR, OF_A_GRANT, STALLED, Reason
from parts import commands
from parts.authserver import AuthServer
from parts.certificates import make_ca
from parts.controlplane import ControlPlane
from parts.launcher import Installation
from parts.waiting import wait_for

CONDITIONS = {GRANT: OF_A_GRANT, CONNECTOR: OF_A_CONNECTOR}
AS_WANTED = {Reason.AWAITING_CONSENT, Reason.SUSPENDED, Reason.TOKENS_NOT_KEPT}
"""Of these an Event does not warn."""
WITHIN = 60
"""Seconds: far more than anything takes, on a machine that has other things to do as well."""


@pytest.fixture(scope="module")
def prepared(
    control_plane: ControlPlane, auth_server: AuthServer, grantkeeper: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """One namespace in which all the situations are."""
    names = [f"test-{secrets.token_hex(4)}" for _ in range(2)]
    control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names])
    stage, platform = (Stage(control_plane, auth_server, grantkeeper, name) for name in names)
    authority = make_ca(tmp_path_factory.mktemp("odd"))
    trusted = base64.b64encode(authority.path.read_bytes()).decode()
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(scripted_server(*authority.issue(["127.0.0.1"]))) as odd:
        Director(stage, platform, odd, trusted).bring_about()
        yield stage
    control_plane.kubectl("delete", "namespace", *names, "--wait=false")


def test_the_table_has_every_reason() -> None:
    listed = {
        (kind, name, reason)
        for kind, conditions in CONDITIONS.items()
        for name, said in conditions.items()
        for reason in said.when_true | said.when_false
    }
    of_any = {(kind, reason) for kind in CONDITIONS for reason in (Reason.READY, Reason.PENDING)}
    assert {(row.kind, row.condition, row.reason) for row in TABLE if (row.kind, row.reason) not in of_any} == listed
    assert {(row.kind, row.reason) for row in TABLE} >= of_any
    assert len(TABLE) == len(listed) + len(of_any)
    assert [row for row in TABLE if not row.says and row.reason in STALLED | {Reason.PENDING}] == []


@pytest.mark.parametrize("situation", [pytest.param(row, id=f"{row.kind}-{row.condition}-{row.reason}") for row in TABLE])
def test_reason_is_said_where_it_holds(prepared: Stage, situation: Situation) -> None:
    found = wait_said(prepared, situation, within=WITHIN)
    told = condition(found, situation.condition)
    assert situation.says in told["message"]
    if told["status"] != "True":
        assert situation.says, "what is to be done about it is not tried"
    _see_it_is_consistent(found, situation.kind)
    ready = condition(found, "Ready")
    if ready["status"] != "Unknown" and ready["reason"] in {situation.reason, Reason.READY}:
        kind = "Normal" if ready["status"] == "True" or ready["reason"] in AS_WANTED else "Warning"
        wait_for(lambda: (kind, ready["reason"]) in _read_events(prepared, found), f"an Event of {situation.name}", within=10)


def test_scopes_that_are_granted_beyond_what_was_asked_are_recorded(prepared: Stage) -> None:
    found = status(prepared.wait_grant("everlasting", lambda grant: "grantedScopes" in status(grant), within=WITHIN))
    assert (found["requestedScopes"], found["grantedScopes"]) == (["read"], ["read", "write"])
    assert "missingScopes" not in found


def _see_it_is_consistent(found: Object, kind: str) -> None:
    """Each condition is of this generation and of the list, `Ready` repeats the first that is not true, `Stalled` is as it should be."""
    known, said = CONDITIONS[kind], {told["type"]: told for told in status(found)["conditions"]}
    assert {told["observedGeneration"] for told in said.values()} == {found["metadata"]["generation"]}
    assert status(found)["observedGeneration"] == found["metadata"]["generation"]
    for name, reasons in known.items():
        may = {"True": reasons.when_true, "False": reasons.when_false, "Unknown": {Reason.PENDING}}
        assert said[name]["reason"] in may[said[name]["status"]]
        assert said[name]["status"] == "True" or said[name]["message"]
    broken = next((said[name] for name in known if said[name]["status"] != "True"), None)
    expected = (broken["status"], broken["reason"], broken["message"]) if broken else ("True", Reason.READY, "")
    assert (said["Ready"]["status"], said["Ready"]["reason"], said["Ready"]["message"]) == expected
    stalling = next((said[name] for name in known if said[name]["status"] == "False" and said[name]["reason"] in STALLED), None)
    assert ("Stalled" in said) == (stalling is not None)
    if stalling is not None:
        stalled = said["Stalled"]
        assert (stalled["status"], stalled["reason"], stalled["message"]) == ("True", stalling["reason"], stalling["message"])


def _read_events(stage: Stage, about: Object) -> set[tuple[str, str]]:
    """The type and reason of each Event about a grant or a connector, as kubectl shows them."""
    metadata = about["metadata"]
    chosen = f"involvedObject.kind={about['kind']},involvedObject.uid={metadata['uid']}"
    written = stage.control_plane.kubectl("get", "events", "-n", metadata["namespace"], "--field-selector", chosen, "-o", "json")
    return {(event["type"], event["reason"]) for event in json.loads(written)["items"]}


def test_kubectl_wait_returns_when_a_fresh_token_is_delivered_and_not_before(stage: Stage, tmp_path: Path) -> None:
    stage.add_connector()
    stage.add_grant()
    stage.link()
    command = [commands.kubectl(), "wait", "--for=condition=Ready", "usergrant/alice", "-n", stage.namespace, "--timeout=100s"]
    environment = {**os.environ, "KUBECONFIG": str(stage.control_plane.kubeconfig), "KUBECACHEDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as waiting:
        stage.auth_server.hold()
        person = threading.Thread(target=stage.consent)
        try:
            person.start()
            wait_for(lambda: stage.auth_server.held(stage.client_id) > 0, "the code to be presented")
            assert waiting.poll() is None, "somebody has consented, and there is no token yet"
        finally:
            stage.auth_server.release()
            person.join()
        said, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert said.strip() == "usergrant.grantkeeper.dev/alice condition met"
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
