"""Install the chart and run its Pods as processes: the API server admits them, and the launcher does what kubelet would do.

So flags, environment and rights come from the chart alone. `pods` says what is put in the place of what a node would give.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx
import yaml

from parts import PartFailed, commands, private
from parts.controlplane import ControlPlane
from parts.pods import Launch, Machine, Object, translate
from parts.processes import Child, free_port, require_free
from parts.progress import step

CHART = Path(__file__).parents[2] / "charts" / "grantkeeper"
RELEASE = "grantkeeper"
STARTING = 60.0


class Container:
    """A process in the place of a Pod's container: restarted, it is the same Pod's, as when kubelet restarts a container."""

    def __init__(self, pod: Object, launch: Launch, log: Path) -> None:
        self.pod = pod
        self.log = log
        self._launch = launch
        self._child = self._start()

    @property
    def name(self) -> str:
        """The container's name: `controller`, `consent`."""
        return self._launch.name

    @property
    def pid(self) -> int:
        """The id of the process that runs now."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._child.is_alive

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; after SIGKILL return when the process is gone."""
        self._child.send(number)
        if number is signal.SIGKILL:
            self.wait(10)

    def wait(self, timeout: float) -> int:
        """Wait for it to end by itself; return its exit status."""
        return self._child.wait(timeout)

    def stop(self) -> int:
        """End it as kubelet does, with the Pod's grace period; return its exit status."""
        return self._child.stop(grace=self._launch.grace)

    def start(self, **more: str) -> None:
        """Start it again after it ended, with `more` in its environment for this life alone."""
        self._child = self._start(more)

    def restart(self) -> None:
        """Stop it in an orderly way and start it again."""
        self.stop()
        self.start()

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment that the process runs in."""
        return self._launch.environment

    def probe(self, path: str) -> httpx.Response:
        """Ask on the port that kubelet asks on, as patiently as kubelet."""
        if self._launch.readiness is None:
            raise PartFailed(f"{self.name} has no readinessProbe")
        return httpx.get(urljoin(self._launch.readiness, path), timeout=5, trust_env=False)

    def wait_until_ready(self) -> None:
        """Return when the Pod's readiness probe succeeds; at once where it has none."""
        if (url := self._launch.readiness) is not None:
            self._child.wait_until(lambda: _succeeds(url), timeout=STARTING)

    def wait_until_keeping(self) -> None:
        """Return when this life of a controller has said that it keeps grants: who only stands by is ready too."""
        self._child.wait_until(lambda: b'"event": "keeping"' in self.log.read_bytes()[self._said_before :], timeout=STARTING)

    def _start(self, more: Mapping[str, str] | None = None) -> Child:
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        environment = {**self._launch.environment, **(more or {})}
        return Child.start(self.name, self._launch.command, log=self.log, environment=environment)


class Installation:
    """The chart, installed and running, as a context manager. `values` are Helm's; `port` is where people reach the pages.

    `ways` are ports that lead to the API server, for one controller after the other.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        directory: Path,
        *,
        namespace: str = "grantkeeper",
        port: int | None = None,
        values: Mapping[str, Any] | None = None,
        ways: Sequence[int] = (),
    ) -> None:
        self.control_plane = control_plane
        self.directory = directory
        self.namespace = namespace
        self.port = port or free_port()
        self.external_url = f"http://localhost:{self.port}"
        told = {"externalURL": self.external_url, "providerNetworks": ["127.0.0.0/8"], "controller": {"replicas": 1}}
        self._values = {**told, **(values or {})}
        self._ways = list(ways)
        self._containers: dict[str, Container] = {}

    def __enter__(self) -> Self:
        require_free(self.port, "the consent pages")
        try:
            with step("installing the chart and starting its processes"):
                self._start(self._install())
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the processes; what they stored stays in the cluster."""
        while self._containers:
            self._containers.popitem()[1].stop()

    @property
    def controller(self) -> Container:
        """The process that keeps the tokens."""
        return self._containers["controller"]

    @property
    def controllers(self) -> list[Container]:
        """All that can keep the tokens, one of which leads."""
        return [container for container in self._containers.values() if container.name == "controller"]

    @property
    def consent(self) -> Container:
        """The process that serves the pages."""
        return self._containers["consent"]

    @property
    def logs(self) -> list[Path]:
        """The logs of all processes, of all their lives."""
        return [container.log for container in self._containers.values()]

    def await_successor(self, container: Container) -> Object:
        """Delete the Pod of a process that is gone, as whoever drains a node does; the Pod that its Deployment has made in its place."""
        name, spec = container.pod["metadata"]["name"], container.pod["spec"]
        with self.control_plane.client() as client:
            pods = f"/api/v1/namespaces/{self.namespace}/pods"
            account = f"spec.serviceAccountName={spec['serviceAccountName']}"
            known = {pod["metadata"]["uid"] for pod in client.get(pods, params={"fieldSelector": account}).json()["items"]}
            client.request("DELETE", f"{pods}/{name}", json={"gracePeriodSeconds": 0}).raise_for_status()
            deadline = time.monotonic() + STARTING
            while time.monotonic() < deadline:
                found = client.get(pods, params={"fieldSelector": account}).json()["items"]
                for pod in found:
                    if pod["metadata"]["uid"] not in known:
                        return dict(pod)
                time.sleep(0.1)
        raise PartFailed(f"no Pod was made in the place of {name}")

    def run_successor(self, container: Container, pod: Object) -> Container:
        """Run a Pod in the place of another, on its way to the API server; nothing of that one's disk is left to it."""
        self._ways = [int(container.environment["KUBERNETES_SERVICE_PORT"])]
        successor = Container(pod, translate(pod, self._machine_for(pod)), self.directory / f"{pod['metadata']['name']}.log")
        place = next(place for place, there in self._containers.items() if there is container)
        self._containers[place] = successor
        self._report_running(pod)
        return successor

    def _install(self) -> list[Object]:
        """Apply the chart; return its Deployments."""
        self.control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}])
        manifests = render(self._values, self.namespace)
        self.control_plane.apply(manifests)
        return [manifest for manifest in manifests if manifest["kind"] == "Deployment"]

    def _start(self, deployments: list[Object]) -> None:
        for deployment in deployments:
            for number, pod in enumerate(self._pods_of(deployment)):
                container = Container(pod, translate(pod, self._machine_for(pod)), self.directory / f"{pod['metadata']['name']}.log")
                self._containers[f"{container.name}-{number}" if number else container.name] = container
        for container in self._containers.values():
            container.wait_until_ready()
            self._report_running(container.pod)

    def _pods_of(self, deployment: Object) -> list[Object]:
        """Return the Pods that the Deployment's controller made, as they were admitted."""
        name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
        if wanted != 1 and not name.endswith("-controller"):
            raise PartFailed(f"the launcher has one port for the pages, and {name} has {wanted} replicas")
        labels = ",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items())
        deadline = time.monotonic() + STARTING
        with self.control_plane.client() as client:
            while time.monotonic() < deadline:
                found = client.get(f"/api/v1/namespaces/{self.namespace}/pods", params={"labelSelector": labels}).json()["items"]
                if len(found) == wanted:
                    return [dict(pod) for pod in found]
                time.sleep(0.1)
        events = self.control_plane.kubectl("get", "events", "-n", self.namespace)
        raise PartFailed(f"{name} has not the {wanted} Pods that it should; perhaps one was not admitted:\n{events}")

    def _machine_for(self, pod: Object) -> Machine:
        account = self.directory / pod["metadata"]["name"]
        account.mkdir(parents=True, exist_ok=True)
        # kubelet renews the token every hour; a day is longer than any run.
        token = self.control_plane.token_of(self.namespace, pod["spec"]["serviceAccountName"], pod=pod)
        private.write(account / "token", token)
        (account / "ca.crt").write_bytes(self.control_plane.ca.read_bytes())
        (account / "namespace").write_text(self.namespace)
        declared = [port for container in pod["spec"]["containers"] for port in container.get("ports", [])]
        ports = {port["containerPort"]: self.port if port["name"] == "http" else free_port() for port in declared}
        way = self._ways.pop(0) if self._ways and "controller" in pod["metadata"]["name"] else self.control_plane.port
        return Machine(api_port=way, ports=ports, service_account=account, scratch=account / "scratch")

    def _report_running(self, pod: Object) -> None:
        """Write the Pod's status as kubelet does, so that `kubectl get pods` tells the truth."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        containers = [
            {"name": container["name"], "image": container["image"], "imageID": "", "ready": True, "started": True, "restartCount": 0}
            | {"state": {"running": {"startedAt": now}}}
            for container in pod["spec"]["containers"]
        ]
        conditions = [{"type": name, "status": "True", "lastTransitionTime": now} for name in ("PodScheduled", "ContainersReady", "Ready")]
        status = {"phase": "Running", "startTime": now, "conditions": conditions, "containerStatuses": containers}
        with self.control_plane.client() as client:
            client.patch(
                f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/status",
                json={"status": status},
                headers={"Content-Type": "application/strategic-merge-patch+json"},
            ).raise_for_status()


def render(values: Mapping[str, Any], namespace: str) -> list[Object]:
    """Return the chart's manifests with these values."""
    done = subprocess.run(
        [commands.helm(), "template", RELEASE, CHART, "--namespace", namespace, "--values", "-"],
        input=yaml.safe_dump(dict(values)),
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PartFailed(f"helm template failed: {done.stderr.strip()}")
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def _succeeds(url: str) -> bool:
    """Whether a probe succeeds, as kubelet sees it."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code < httpx.codes.BAD_REQUEST
    except httpx.TransportError:
        return False
