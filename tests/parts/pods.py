"""What becomes of a Pod when no kubelet runs it: a table of substitutions. What is not in the table is refused, never guessed.

| In the Pod | On this machine |
|---|---|
| `command: [grantkeeper]`, `args` | the program installed beside this Python, the same arguments |
| `env` with a `value` | the same |
| `env` from `metadata.name`, `metadata.namespace`, `metadata.uid` | the Pod's own |
| `GRANTKEEPER_LISTEN`, `GRANTKEEPER_METRICS_LISTEN` on a declared `containerPort` | a port of 127.0.0.1 |
| `readinessProbe`, an `httpGet` | asked until it succeeds, before the Pod is called ready |
| `livenessProbe`, an `httpGet` | its address, for a test to ask; nothing is restarted because of it |
| an `emptyDir` mounted where a variable of the container says | a directory of the Pod's, and the variable names it |
| the volume with the ServiceAccount's token | a directory, named by `GRANTKEEPER_SERVICE_ACCOUNT_DIRECTORY` |
| the Service `kubernetes` | `KUBERNETES_SERVICE_HOST`, `KUBERNETES_SERVICE_PORT` |
| `terminationGracePeriodSeconds` | the time between SIGTERM and SIGKILL |
| `WITHOUT_EFFECT` below | nothing |
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts import PartFailed

Object = dict[str, Any]

SERVICE_ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
FIELDS = {"metadata.name": "name", "metadata.namespace": "namespace", "metadata.uid": "uid"}

POD_FIELDS = frozenset({"containers", "volumes", "serviceAccountName", "terminationGracePeriodSeconds", "enableServiceLinks"})
CONTAINER_FIELDS = frozenset({"name", "command", "args", "env", "ports", "volumeMounts", "livenessProbe", "readinessProbe"})
PROBE_FIELDS = frozenset({"httpGet", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"})
LISTENS = ("GRANTKEEPER_LISTEN", "GRANTKEEPER_METRICS_LISTEN")
WITHOUT_EFFECT = frozenset({
    # There is no kernel of its own around the process, and nothing to pull, place or divide.
    *("securityContext", "resources", "image", "imagePullPolicy", "imagePullSecrets"),
    *("schedulerName", "tolerations", "priority", "preemptionPolicy", "restartPolicy", "dnsPolicy"),
    *("terminationMessagePath", "terminationMessagePolicy"),
    # Said again, better, by the ServiceAccount's volume and by serviceAccountName.
    *("automountServiceAccountToken", "serviceAccount"),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine puts in the place of a node."""

    api_port: int
    ports: Mapping[int, int]
    """From a container's port to ours, on 127.0.0.1."""
    service_account: Path
    """The directory with the token."""
    scratch: Path
    """The directory in which the Pod's empty directories are."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run for the one container of a Pod."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    grace: int
    liveness: str | None
    """The URL of the probe; None where there is none."""
    readiness: str | None


def translate(pod: Object, machine: Machine) -> Launch:
    """Say what to run for this Pod, as the API server admitted it; fail on anything the table does not know."""
    spec = pod["spec"]
    _refuse_unknown("Pod", spec, POD_FIELDS | WITHOUT_EFFECT)
    if spec.get("enableServiceLinks", True):
        raise PartFailed("the Pod wants every Service in its environment; it should say enableServiceLinks: false")
    if len(spec["containers"]) != 1:
        raise PartFailed("a Pod with several containers is more than this launcher knows")
    container = spec["containers"][0]
    _refuse_unknown("container", container, CONTAINER_FIELDS | WITHOUT_EFFECT)
    scratch = _empty_directories(spec.get("volumes", []), container.get("volumeMounts", []), machine.scratch)
    if container["command"] != ["grantkeeper"]:
        raise PartFailed(f"only grantkeeper is installed here, and the container's command is {container['command']}")
    return Launch(
        name=container["name"],
        command=(str(Path(sys.executable).with_name("grantkeeper")), *container.get("args", [])),
        environment={
            **{entry["name"]: _value_of(entry, pod["metadata"]) for entry in container.get("env", [])},
            **_mounted(container, scratch),
            **_listening(container, machine.ports),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(machine.api_port),
            "GRANTKEEPER_SERVICE_ACCOUNT_DIRECTORY": str(machine.service_account),
        },
        grace=spec["terminationGracePeriodSeconds"],
        liveness=_probe(container, "livenessProbe", machine.ports),
        readiness=_probe(container, "readinessProbe", machine.ports),
    )


def _refuse_unknown(what: str, fields: Object, known: frozenset[str]) -> None:
    if unknown := sorted(fields.keys() - known):
        raise PartFailed(f"the launcher does not know what becomes of these fields of a {what}: {', '.join(unknown)}")


def _value_of(entry: Object, metadata: Object) -> str:
    match entry:
        case {"valueFrom": {"fieldRef": {"fieldPath": path}}} if path in FIELDS:
            return str(metadata[FIELDS[path]])
        case {"valueFrom": source}:
            raise PartFailed(f"the launcher does not know where {entry['name']} comes from: {source}")
        case {"value": value} if "$(" in value:
            raise PartFailed(f"the launcher expands no references, and {entry['name']} holds one")
    return str(entry.get("value", ""))


def _listening(container: Object, ports: Mapping[int, int]) -> dict[str, str]:
    declared = {port["containerPort"] for port in container.get("ports", [])}
    told = {entry["name"]: int(entry["value"].rpartition(":")[2]) for entry in container.get("env", []) if entry["name"] in LISTENS}
    if declared != set(told.values()) or len(declared) != len(told) or not declared <= ports.keys():
        raise PartFailed(f"the container declares the ports {sorted(declared)}, is told {told}, and was given {dict(ports)}")
    return {name: f"127.0.0.1:{ports[port]}" for name, port in told.items()}


def _probe(container: Object, name: str, ports: Mapping[int, int]) -> str | None:
    probe = container.get(name)
    if probe is None:
        return None
    _refuse_unknown(name, probe, PROBE_FIELDS)
    _refuse_unknown(f"{name}'s httpGet", probe["httpGet"], frozenset({"path", "port", "scheme"}))
    asked = probe["httpGet"]
    named = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
    port = named.get(asked["port"], asked["port"])
    if port not in ports or asked.get("scheme", "HTTP") != "HTTP":
        raise PartFailed(f"the {name} asks at {asked}, and the container was given {dict(ports)}")
    return f"http://127.0.0.1:{ports[port]}{asked['path']}"


def _empty_directories(volumes: list[Object], mounts: list[Object], scratch: Path) -> dict[str, Path]:
    """The Pod's empty directories, by where they are mounted; they stay when the container is started again, as in a Pod."""
    empty = {volume["name"] for volume in volumes if "emptyDir" in volume}
    for volume in volumes:
        sources = volume.get("projected", {}).get("sources", [])
        if volume["name"] not in empty and not any("serviceAccountToken" in source for source in sources):
            raise PartFailed(f"the launcher does not know what becomes of the volume {volume['name']}")
    directories = {mount["mountPath"]: scratch / mount["name"] for mount in mounts if mount.get("name") in empty}
    for mount in mounts:
        if mount["mountPath"] != SERVICE_ACCOUNT_MOUNT and mount["mountPath"] not in directories:
            raise PartFailed(f"the launcher does not know what becomes of the mount {mount['mountPath']}")
    for directory in directories.values():
        directory.mkdir(parents=True, exist_ok=True)
    return directories


def _mounted(container: Object, directories: Mapping[str, Path]) -> dict[str, str]:
    named = {entry["value"]: entry["name"] for entry in container.get("env", []) if entry.get("value") in directories}
    if unnamed := sorted(directories.keys() - named.keys()):
        raise PartFailed(f"no variable says where these are mounted: {', '.join(unnamed)}")
    return {named[path]: str(directory) for path, directory in directories.items()}
