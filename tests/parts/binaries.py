"""Kubernetes as three programs: those that KUBEBUILDER_ASSETS names, else built once from the pinned module into the user's cache."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from parts import PartFailed, cache, toolchains
from parts.progress import Step, console, step

MODULE = Path(__file__).parents[1] / "controlplane"
"""go.mod pins the versions; its `tool` directives name the three programs."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Paths of the three programs."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path


def obtain() -> Binaries:
    """Return the programs, building what is not at hand. The first build takes about five minutes on two cores."""
    return Binaries(*(_obtain(name) for name in ("etcd", "kube-apiserver", "kube-controller-manager")))


def _obtain(name: str) -> Path:
    if not (assets := os.environ.get("KUBEBUILDER_ASSETS")):
        return _built() / name
    if not Path(assets).is_dir():
        raise PartFailed(f"KUBEBUILDER_ASSETS is {assets}, which is no directory; unset it to have Kubernetes built.")
    if (given := Path(assets) / name).is_file():
        return given
    console.print(f"  KUBEBUILDER_ASSETS holds no {name}; the pinned one takes its place")
    return _built() / name


def _built() -> Path:
    pins = (MODULE / "go.mod", MODULE / "go.sum")
    version = _pinned("k8s.io/kubernetes v")
    return cache.obtain(f"controlplane-{version}-{cache.key_of(*pins)}", lambda directory: _build(version, directory))


def _pinned(prefix: str) -> str:
    """What follows `prefix` on its line of go.mod."""
    found = re.search(rf"^\s*{re.escape(prefix)}(\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise PartFailed(f"{MODULE / 'go.mod'} has no line with '{prefix}'")
    return found[1]


def _build(version: str, directory: Path) -> None:
    go = toolchains.go(at_least=toolchains.version_in(_pinned("go ")))
    with step("fetching the sources of Kubernetes and etcd"):
        packages = len(_go(go, "list", "-deps", "tool").splitlines())
    major, minor, _ = version.split(".")
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s", "-w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamps.items())])
    with step(f"building Kubernetes {version} and etcd (once; about five minutes on two cores)") as building:
        _show_build(_go_build(go, flags, directory), packages, building)
    (directory / "server").rename(directory / "etcd")  # Go names a program for its directory


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _go(go: Path, *arguments: str) -> str:
    done = subprocess.run([go, *arguments], cwd=MODULE, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartFailed(f"go {arguments[0]} failed in {MODULE}:\n{done.stderr[-2000:]}")
    return done.stdout


def _go_build(go: Path, flags: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", flags, "-o", f"{directory}/", "tool"],
        cwd=MODULE,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _show_build(build: subprocess.Popen[str], packages: int, building: Step) -> None:
    """Follow the names that `go build -v` prints, one for each package it compiles."""
    last: deque[str] = deque(maxlen=20)
    compiled = 0
    with build:
        for line in build.stderr or ():
            last.append(line.rstrip())
            compiled += 1
            building.say(f"{compiled} of at most {packages} packages")
    if build.returncode:
        raise PartFailed(f"go build failed with status {build.returncode}:\n" + "\n".join(last))
