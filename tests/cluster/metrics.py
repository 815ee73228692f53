"""What a process says of itself at /metrics, one number at a time."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from parts.launcher import Container


def number(container: Container, name: str, **labels: str) -> float:
    """The value of a sample now; 0 where there is none."""
    families = text_string_to_metric_families(container.probe("/metrics").raise_for_status().text)
    samples = [s for family in families for s in family.samples if s.name == name and s.labels == labels]
    return sum(sample.value for sample in samples)
