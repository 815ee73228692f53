"""`python -m chaos.matrix`: kill the controller at every step of the protocol, with every kind of server, and hold it to the table.

About ten seconds a cell, some twenty minutes in all on a quiet machine; `--only refresh.sent,commit` plays the failpoints that begin
like one of these, `--manners strict,family` those servers, `--markdown <file>` writes the table down as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from chaos import picture
from chaos.endpoint import TokenServer
from chaos.families import Manner
from chaos.playing import Cell, Played, Theatre
from chaos.predictions import TABLE
from parts import PartFailed
from parts.controlplane import ControlPlane
from parts.launcher import Installation

BOUND = 45 * 60.0
"""Seconds after which no further cell is begun: a machine that is this slow has something else to do."""

console = Console(highlight=False, soft_wrap=False)


def main() -> int:
    """Play; the exit status is 0 when every cell was as predicted."""
    parser = argparse.ArgumentParser(prog="python -m chaos.matrix")
    parser.add_argument("--only", default="")
    parser.add_argument("--manners", default=",".join(Manner))
    parser.add_argument("--markdown", type=Path)
    told = parser.parse_args()
    manners = [Manner(manner) for manner in told.manners.split(",")]
    cells = [Cell(row, manner) for row, manner in TABLE if manner in manners and row.failpoint.startswith(tuple(told.only.split(",")))]
    try:
        with tempfile.TemporaryDirectory(prefix="grantkeeper-matrix-") as directory, opened(Path(directory)) as theatre:
            all_played = play_all(theatre, cells)
    except PartFailed as failure:
        console.print(f"[red]✗[/] {failure}")
        return 1
    console.print(picture.draw(all_played))
    if told.markdown:
        told.markdown.write_text(picture.write(all_played) + "\n")
    return conclude(cells, all_played)


def play_all(theatre: Theatre, cells: Sequence[Cell]) -> list[Played]:
    """Play cell by cell; a line for each as it ends. At the end all are looked at once more."""
    begun, all_played = time.monotonic(), list[Played]()
    for number, cell in enumerate(cells, 1):
        if time.monotonic() - begun > BOUND:
            break
        all_played.append(played := theatre.play(cell))
        sign = "[green]✓[/]" if played.is_as_predicted else "[red]✗[/]"
        what = f"{cell.row.course} {cell.row.failpoint} {cell.manner}" if played.is_as_predicted else picture.complain(played)
        console.print(f"{sign} {number}/{len(cells)} {what} {played.took:.0f} s", soft_wrap=True)
    for played in all_played:
        theatre.check_again(played)
    return all_played


def conclude(cells: Sequence[Cell], all_played: Sequence[Played]) -> int:
    """Say how it went; the exit status."""
    wrong = [played for played in all_played if not played.is_as_predicted]
    for played in wrong:
        console.print(f"[red]✗[/] {picture.complain(played)}", soft_wrap=True)
    if len(all_played) < len(cells):
        console.print(f"[red]✗[/] {len(cells) - len(all_played)} cells were not played: it took too long.")
        return 1
    if not wrong:
        console.print(f"[green]✓[/] All {len(cells)} crashes came out as predicted.")
    return 1 if wrong else 0


@contextmanager
def opened(directory: Path) -> Iterator[Theatre]:
    """Everything started, for the length of the block."""
    with (
        ControlPlane(directory / "control-plane") as control_plane,
        TokenServer(directory / "server") as server,
        Installation(control_plane, _made(directory / "grantkeeper")) as installation,
        control_plane.client() as client,
    ):
        control_plane.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "matrix"}}])
        theatre = Theatre(installation, server, "matrix", client)
        theatre.build()
        yield theatre


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


if __name__ == "__main__":
    sys.exit(main())
