"""The matrix as a table: a failpoint a row, a kind of server a column, in each cell what came of the crash."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from chaos.families import Manner
from chaos.playing import Played
from chaos.predictions import LEGEND, STEPS, Course, Row

CERTIFIED = "certified"
TITLES: dict[str, str] = {
    Manner.KEPT: "kept",
    Manner.LEEWAY: "leeway",
    Manner.STRICT: "strict",
    Manner.FAMILY: "family",
    CERTIFIED: "oidc-provider",
}
WORDS = {
    "kept": "the server leaves a refresh token as it is",
    "leeway": "it is spent by its use, and accepted again for 60 s",
    "strict": "it is spent, and refused from then on",
    "family": "it is spent, and presented again it ends the whole consent",
    "oidc-provider": "the same, by a certified server that is not ours",
}


def draw(all_played: Sequence[Played]) -> Table:
    """For a terminal; a cell that is not as predicted shows both."""
    table = Table(title="Killed here, this came of it", title_style="bold", header_style="bold")
    table.add_column("killed at", no_wrap=True)
    columns = _columns(all_played)
    for column in columns:
        table.add_column(TITLES[column], no_wrap=True)
    course = None
    for row in STEPS:
        cells = {_column_of(played): played for played in all_played if played.cell.row == row}
        if not cells:
            continue
        if course not in {None, row.course}:
            table.add_section()
        table.add_row(_label(row), *(_show(cells.get(column)) for column in columns))
        course = row.course
    table.caption_justify = "left"
    table.caption = "\n".join(f"{sign}: {words}" for sign, words in (WORDS | LEGEND).items())
    return table


def write(all_played: Sequence[Played]) -> str:
    """For a page, in Markdown."""
    columns = _columns(all_played)
    lines = [f"| Killed at | {' | '.join(TITLES[column] for column in columns)} |", f"|---{'|---' * len(columns)}|"]
    for row in STEPS:
        cells = {_column_of(played): played for played in all_played if played.cell.row == row}
        if cells:
            shown = (str(cells[column].seen) if column in cells else "" for column in columns)
            lines.append(f"| {_label(row)} | {' | '.join(shown)} |")
    return "\n".join(lines)


def complain(played: Played) -> str:
    """What was expected, and what was seen, in one line."""
    row = played.cell.row
    seen = "not reached" if played.seen is None else str(played.seen)
    faults = f" ({'; '.join(played.faults)})" if played.faults else ""
    return f"{row.course}, {row.failpoint}, {_column_of(played)}: expected {played.cell.predicted}, seen {seen}{faults}"


def _label(row: Row) -> str:
    is_plain = row.course is Course.REFRESH or row.failpoint.startswith(row.course)
    return row.failpoint if is_plain else f"{row.failpoint} ({row.course})"


def _column_of(played: Played) -> str:
    return CERTIFIED if played.cell.is_certified else played.cell.manner.value


def _columns(all_played: Sequence[Played]) -> list[str]:
    held = {_column_of(played) for played in all_played}
    return [column for column in TITLES if column in held]


def _show(played: Played | None) -> str:
    if played is None:
        return ""
    if played.is_as_predicted:
        return f"[green]✓[/] {played.seen}"
    return f"[red]✗ {played.seen or 'not reached'}[/]\n[red]{'; '.join(played.faults)}[/]\n[dim]expected {played.cell.predicted}[/]"
