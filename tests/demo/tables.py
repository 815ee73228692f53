"""kubectl's tables, on a terminal that may be narrower than they are."""

from __future__ import annotations

import re

EXPENDABLE = ("CONNECTOR", "AGE", "USER")
"""The columns that can be spared, the first one first."""


def fit(table: str, width: int | None) -> tuple[str, tuple[str, ...]]:
    """Leave out columns until the table fits; return it and the names of what was left out. A width of None fits everything."""
    lines = table.splitlines()
    cells = [_split(line, _starts(lines[0])) for line in lines]
    left_out: list[str] = []
    for name in EXPENDABLE:
        if width is None or max(len("".join(row).rstrip()) for row in cells) <= width:
            break
        if name in (headings := [cell.strip() for cell in cells[0]]):
            place = headings.index(name)
            cells = [[*row[:place], *row[place + 1 :]] for row in cells]
            left_out.append(name)
    return "\n".join("".join(row).rstrip() for row in cells), tuple(left_out)


def without_age(table: str) -> str:
    """The table without its last column, which changes by itself."""
    return "\n".join(re.sub(r"\s+\S+\s*$", "", line) for line in table.splitlines())


def _starts(heading: str) -> list[int]:
    return [found.start() for found in re.finditer(r"\S+(?: \S+)*", heading)]


def _split(line: str, starts: list[int]) -> list[str]:
    return [line[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
