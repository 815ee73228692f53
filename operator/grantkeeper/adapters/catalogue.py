"""The provider catalogue as it is shipped: one YAML file for each preset, beside the code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

import yaml

from grantkeeper.core.catalogue import Preset


def load_presets() -> Mapping[str, Preset]:
    """Every preset by its name, which is its file's."""
    entries = sorted((files("grantkeeper") / "catalogue").iterdir(), key=lambda entry: entry.name)
    presets = {
        entry.name.removesuffix(".yaml"): Preset.model_validate(yaml.safe_load(entry.read_text("utf-8")))
        for entry in entries
        if entry.name.endswith(".yaml")
    }
    return MappingProxyType(presets)
