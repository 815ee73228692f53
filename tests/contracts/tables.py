"""The tables of the chart's README that follow from the code. Run as a program it writes them anew."""

from __future__ import annotations

import re

from contracts.chart import CHART
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


TABLES = {"settings": settings, "metrics": metrics}


def find(name: str, text: str) -> tuple[int, int]:
    """From where to where a table stands, between its marks."""
    found = re.search(rf"(?<=<!-- {name} -->\n).*?(?=\n<!-- end of {name} -->)", text, re.DOTALL)
    assert found is not None, f"{README.name} has no place for the table of {name}"
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
    text = README.read_text()
    for name, table in TABLES.items():
        start, end = find(name, text)
        text = text[:start] + table() + text[end:]
    README.write_text(text)


if __name__ == "__main__":
    main()
