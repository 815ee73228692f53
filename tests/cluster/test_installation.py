"""The chart runs as installed: admitted Pods, their own accounts, and a restart that stays in its Pod."""

from __future__ import annotations

import json
import signal

from parts.controlplane import ControlPlane
from parts.launcher import Installation
from parts.waiting import wait_for


def test_each_process_is_a_running_pod(control_plane: ControlPlane, grantkeeper: Installation) -> None:
    pods = json.loads(control_plane.kubectl("get", "pods", "-n", grantkeeper.namespace, "-o", "json"))["items"]
    running = {pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"}
    assert running == {container.pod["metadata"]["name"] for container in (grantkeeper.controller, grantkeeper.consent)}
    query = ("get", "deployments", "-n", grantkeeper.namespace, "-o", "jsonpath={.items[*].status.availableReplicas}")
    wait_for(lambda: control_plane.kubectl(*query) == "1 1", "both to be available")


def test_a_restarted_controller_is_the_same_account_in_the_same_pod(control_plane: ControlPlane, grantkeeper: Installation) -> None:
    pod, first = grantkeeper.controller.pod["metadata"]["uid"], grantkeeper.controller.pid
    grantkeeper.controller.kill()
    assert not grantkeeper.controller.is_alive
    since = len(control_plane.calls())
    grantkeeper.controller.start()
    account = f"{grantkeeper.namespace}/grantkeeper-controller"
    wait_for(lambda: account in {call.account for call in control_plane.calls(since)}, "a call of the controller's")
    assert grantkeeper.controller.pid != first
    assert grantkeeper.controller.pod["metadata"]["uid"] == pod


def test_the_processes_end_when_they_are_told_to(grantkeeper: Installation) -> None:
    for container in (grantkeeper.controller, grantkeeper.consent):
        assert container.stop() != -signal.SIGKILL
        container.start()
        container.wait_until_ready()
