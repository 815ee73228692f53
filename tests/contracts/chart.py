"""The chart as Helm renders it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from parts.commands import helm

CHART = Path(__file__).parents[2] / "charts" / "grantkeeper"
EXTERNAL_URL = "https://connect.example.com"

Manifest = dict[str, Any]


class HelmFailed(Exception):
    """Helm refuses; the message is what a person who installs reads."""


def render(*values: str, release: str = "grantkeeper", namespace: str = "grantkeeper", chart: Path = CHART) -> list[Manifest]:
    """Render the chart with `--set` values such as `consent.port=8081`; the external URL is set unless a value says otherwise."""
    settings = [argument for value in (f"externalURL={EXTERNAL_URL}", *values) for argument in ("--set", value)]
    return [manifest for manifest in yaml.safe_load_all(run("template", release, chart, "--namespace", namespace, *settings)) if manifest]


def run(*arguments: str | Path) -> str:
    """Run helm and return what it printed; its complaint is the error."""
    done = subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmFailed(done.stderr)
    return done.stdout


def of_kind(kind: str, manifests: list[Manifest]) -> dict[str, Manifest]:
    """The manifests of one kind, by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}
