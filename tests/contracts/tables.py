"""The tables of the READMEs that follow from the code. Run as a program it writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from contracts.chart import CHART
from contracts.schemas import CRDS
from grantkeeper.adapters.catalogue import load_presets
from grantkeeper.consent.measuring import Meter as ConsentMeter
from grantkeeper.controller.measuring import Meter as ControllerMeter
from grantkeeper.settings import PREFIX, ConsentSettings, ControllerSettings, Settings

README = CHART / "README.md"
PROCESSES: dict[str, type[Settings]] = {"controller": ControllerSettings, "consent": ConsentSettings}


def settings() -> str:
    """Every variable: who reads it, its default, and its description; first what has to be chosen."""
    rows = ["| Variable | Read by | Default | Meaning |", "|---|---|---|---|"]
    fields = {name: field for model in PROCESSES.values() for name, field in model.model_fields.items()}
    for name, field in sorted(fields.items(), key=lambda item: not item[1].is_required()):
        readers = " and ".join(f"`{process}`" for process, model in PROCESSES.items() if name in model.model_fields)
        default = "required" if field.is_required() else _write(field.default)
        rows.append(f"| `{PREFIX}{name.upper()}` | {readers} | {default} | {field.description} |")
    return "\n".join(rows)


def metrics() -> str:
    """Every metric of ours, with its labels and its description."""
    rows = ["| Metric | Of | Meaning |", "|---|---|---|"]
    for process, registry in (("controller", ControllerMeter().registry), ("consent", ConsentMeter().registry)):
        for collector in registry._collector_to_names:  # noqa: SLF001  # the library tells what labels there are nowhere else
            for family in collector.collect():
                if family.name.startswith("grantkeeper_"):
                    name = f"{family.name}_total" if family.type == "counter" else family.name
                    labels = ",".join(getattr(collector, "_labelnames", getattr(family, "_labelnames", ())))
                    rows.append(f"| `{name}{{{labels}}}` | `{process}` | {family.documentation} |".replace("{}", ""))
    return "\n".join(rows)


def presets() -> str:
    """Every preset: what its parameters are, and where it sends people and tokens."""
    rows = ["| `provider` | Is | `parameters` | People and tokens go to |", "|---|---|---|---|"]
    for name, preset in load_presets().items():
        parameters = "; ".join(
            f"`{key}`: {parameter.description} (" + (f"default `{parameter.default}`" if parameter.default else "required") + ")"
            for key, parameter in preset.parameters.items()
        )
        hosts = ", ".join(f"`{host}`" for host in sorted(preset.hosts))
        said = f"{hosts}, and whatever its metadata name" if preset.issuer else hosts
        rows.append(f"| `{name}` | {preset.display_name} | {parameters or 'none'} | {said} |")
    return "\n".join(rows)


def notes() -> str:
    """What somebody who uses a preset should know, and what the preset rests on."""
    lines: list[str] = []
    for name, preset in load_presets().items():
        read = "; ".join(f"{source.title} ({source.read})" for source in preset.sources)
        lines += [f"- **`{name}`**", *(f"  - {note}" for note in preset.notes), f"  - Written from: {read}."]
    return "\n".join(lines)


TABLES = {"settings": settings, "metrics": metrics, "presets": presets, "notes on presets": notes}
PLACES = dict.fromkeys(("presets", "notes on presets"), CRDS / "README.md")
"""Where a table stands, unless it is in the chart's README."""


def place_of(name: str) -> Path:
    """The file that a table stands in."""
    return PLACES.get(name, README)


def find(name: str, text: str) -> tuple[int, int]:
    """From where to where a table stands, between its marks."""
    found = re.search(rf"(?<=<!-- {name} -->\n).*?(?=\n<!-- end of {name} -->)", text, re.DOTALL)
    assert found is not None, f"{place_of(name)} has no place for the table of {name}"
    return found.span()


def _write(default: object) -> str:
    match default:
        case ():
            return "none"
        case bool():
            return f"`{str(default).lower()}`"
        case _:
            return f"`{default}`"


def main() -> None:
    """Write them."""
    for name, table in TABLES.items():
        text = place_of(name).read_text()
        start, end = find(name, text)
        place_of(name).write_text(text[:start] + table() + text[end:])


if __name__ == "__main__":
    main()
