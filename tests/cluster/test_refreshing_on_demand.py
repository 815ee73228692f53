"""Refreshing at once, on real parts: one wish is one refresh in the server's ledger, whatever becomes of the controller."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from cluster.stage import Object, Stage, condition, status
from cluster.test_asking import DOCUMENTATION, give_account
from grantkeeper.core.refreshing import REFRESH_ANNOTATION
from parts import commands

MAY_CHANGE = {"apiGroups": ["grantkeeper.dev"], "resources": ["usergrants"], "verbs": ["get", "patch"]}


def run_the_documented_line(stage: Stage, kubeconfig: Path) -> None:
    """The line of crds/README.md as it stands there, but for the namespace."""
    (line,) = (block for block in re.findall(r"```sh\n(.*?)```", DOCUMENTATION, re.DOTALL) if REFRESH_ANNOTATION in block)
    path = os.pathsep.join([str(Path(commands.kubectl()).parent), os.environ["PATH"]])
    subprocess.run(
        ["/bin/sh", "-e"],
        input=line.replace("team-a", stage.namespace),
        env={"PATH": path, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(kubeconfig.parent / "kubectl")},
        check=True,
        text=True,
    )


def is_handled(grant: Object) -> bool:
    return bool(status(grant).get("lastHandledRefresh") == grant["metadata"]["annotations"][REFRESH_ANNOTATION])


def test_one_wish_is_one_refresh_also_over_a_restart(stage: Stage, tmp_path: Path) -> None:
    before = status(stage.make_ready(lifetime=3600))
    first = stage.delivered()["access_token"]
    run_the_documented_line(stage, give_account(stage, tmp_path, MAY_CHANGE))
    after = status(stage.wait_grant("alice", is_handled))
    assert after["tokenGeneration"] == before["tokenGeneration"] + 1
    assert stage.delivered()["access_token"] != first
    assert stage.auth_server.introspect(stage.delivered()["access_token"])["active"]
    assert len(stage.presented()) == 1
    stage.installation.controller.restart()
    stage.add_grant("bob")
    stage.consent("bob")
    stage.wait_ready("bob")  # it has looked at everything by now
    assert status(stage.get(stage.grant_path())) == after
    assert len(stage.presented()) == 1


def test_a_wish_that_nobody_could_see_is_fulfilled_by_the_next_life(stage: Stage) -> None:
    generation = status(stage.make_ready(lifetime=3600))["tokenGeneration"]
    stage.installation.controller.kill()
    stage.ask_for_refresh("while nobody watches")
    stage.installation.controller.start()
    stage.wait_grant("alice", is_handled, within=40)
    assert status(stage.wait_ready())["tokenGeneration"] == generation + 1
    assert len(stage.presented()) == 1


def test_a_wish_is_answered_by_a_refusal_too_and_the_next_one_waits_for_its_minute(stage: Stage) -> None:
    stage.make_ready(lifetime=3600)
    stage.auth_server.forget("alice")
    stage.ask_for_refresh("1")
    assert is_handled(stage.wait_reason("alice", "ReauthorizationRequired"))
    stage.ask_for_refresh("2")
    waiting = stage.wait_grant("alice", lambda grant: "is asked for is due at" in condition(grant, "Fresh")["message"])
    assert (status(waiting)["lastHandledRefresh"], len(stage.presented())) == ("1", 1)
    stage.consent()
    assert is_handled(stage.wait_ready()), "new tokens answer it"
    assert len(stage.presented()) == 1


def test_a_wish_on_what_is_suspended_says_so_and_is_fulfilled_afterwards(stage: Stage) -> None:
    stage.make_ready(lifetime=3600)
    stage.patch_grant(spec={"suspend": True}, metadata={"annotations": {REFRESH_ANNOTATION: "now"}})
    waiting = stage.wait_grant("alice", lambda grant: "waits: spec.suspend is true" in condition(grant, "Fresh")["message"])
    assert "lastHandledRefresh" not in status(waiting)
    stage.patch_grant(spec={"suspend": False})
    stage.wait_grant("alice", is_handled)
    assert len(stage.presented()) == 1


def test_a_value_that_status_cannot_show_asks_for_nothing_and_is_said(stage: Stage) -> None:
    stage.make_ready(lifetime=3600)
    stage.ask_for_refresh("x" * 257)
    stage.wait_grant("alice", lambda grant: "set a shorter value" in condition(grant, "Fresh")["message"])
    stage.ask_for_refresh("x" * 256)
    assert not condition(stage.wait_grant("alice", is_handled), "Fresh")["message"]
    assert len(stage.presented()) == 1
