"""The table, in Markdown, so that it can be kept as it is."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Bound, Figure, Of, find_faults

_HEAD = ("Figure", "Measured", "Anchor", "Ratio", "Bound", "")


def draw(figures: Sequence[Figure]) -> str:
    """A line for each figure."""
    rows = [_HEAD, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    rule = ["-" * width for width in widths]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (rows[0], rule, *rows[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        _quantity(figure.value, figure.unit),
        f"{_quantity(figure.anchor, figure.unit)} {figure.anchor_name}".strip() if figure.anchor is not None else "",
        f"{figure.ratio:.2f}" if figure.ratio is not None else "",
        _bound(figure.bound, figure.unit),
        "" if figure.bound is None else f"skipped: {figure.skipped}" if figure.skipped else "over" if find_faults([figure]) else "kept",
    )


def _quantity(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.{0 if value >= 1000 or value == int(value) else 2 if value < 10 else 1}f} {unit}".strip()


def _bound(bound: Bound | None, unit: str) -> str:
    if bound is None:
        return ""
    return f"{'≥' if bound.at_least else '≤'} {bound.limit:g} {'×' if bound.of is Of.RATIO else unit}".strip()
