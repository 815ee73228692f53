"""`python -m chaos.matrix`: kill the controller at every step of the protocol, with every kind of server, and hold it to the table.

About seven seconds a cell, a quarter of an hour in all. `--only refresh.sent,commit` plays the failpoints that begin like one of these,
`--manners strict,certified` those servers, and `--markdown <file>` writes the table down as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from chaos import picture
from chaos.certified import CertifiedServer
from chaos.endpoint import TokenServer
from chaos.families import Manner
from chaos.playing import Cell, Played, Theatre
from chaos.predictions import TABLE, Course, Row
from cluster.stage import Stage
from parts import PartFailed
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation

BOUND = 45 * 60.0
"""Seconds after which no further cell is begun: a machine that is this slow has something else to do."""

PLAYED_BY_THE_CERTIFIED = tuple(
    Cell(Row(Course.REFRESH, name), Manner.FAMILY, is_certified=True)
    for name in (
        "refresh.claimed", "refresh.sent", "refresh.answered", "refresh.sealed", "commit.journaled", "commit.stored", "deliver.writing",
    )
)  # fmt: skip
"""What matters most, played by a server that was not made to agree with us."""
ONLY_CERTIFIED = "certified"

console = Console(highlight=False, soft_wrap=False)


def main() -> int:
    """Play; the exit status is 0 when every cell was as predicted."""
    parser = argparse.ArgumentParser(prog="python -m chaos.matrix")
    parser.add_argument("--only", default="")
    parser.add_argument("--manners", default=",".join((*Manner, ONLY_CERTIFIED)))
    parser.add_argument("--markdown", type=Path)
    told = parser.parse_args()
    cells = choose(told.only.split(","), told.manners.split(","))
    try:
        with tempfile.TemporaryDirectory(prefix="grantkeeper-matrix-") as directory, opened(Path(directory)) as theatres:
            all_played = play_all(theatres, cells)
    except PartFailed as failure:
        console.print(f"[red]✗[/] {failure}")
        return 1
    console.print(picture.draw(all_played))
    if told.markdown:
        told.markdown.write_text(picture.write(all_played) + "\n")
    return conclude(cells, all_played)


def choose(beginnings: Sequence[str], manners: Sequence[str]) -> list[Cell]:
    """The cells whose failpoint begins like one of these, with servers of these manners."""
    scripted = [Cell(row, manner) for row, manner in TABLE if manner in manners]
    certified = PLAYED_BY_THE_CERTIFIED if ONLY_CERTIFIED in manners else ()
    return [cell for cell in (*scripted, *certified) if cell.row.failpoint.startswith(tuple(beginnings))]


def play_all(theatres: Mapping[bool, Theatre], cells: Sequence[Cell]) -> list[Played]:
    """Play cell by cell; a line for each as it ends. At the end all are looked at once more."""
    begun, all_played = time.monotonic(), list[Played]()
    for number, cell in enumerate(cells, 1):
        if time.monotonic() - begun > BOUND:
            break
        all_played.append(played := theatres[cell.is_certified].play(cell))
        sign = "[green]✓[/]" if played.is_as_predicted else "[red]✗[/]"
        what = f"{cell.row.course} {cell.row.failpoint} {cell.manner}" if played.is_as_predicted else picture.complain(played)
        console.print(f"{sign} {number}/{len(cells)} {what} {played.took:.0f} s", soft_wrap=True)
    for played in all_played:
        theatres[played.cell.is_certified].check_again(played)
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
def opened(directory: Path) -> Iterator[Mapping[bool, Theatre]]:
    """Everything started, for the length of the block; the theatre of the scripted server, and by True the certified one's."""
    with (
        ControlPlane(directory / "control-plane") as control_plane,
        TokenServer(directory / "scripted") as scripted,
        AuthServer(directory / "certified") as certified,
        Installation(control_plane, _made(directory / "grantkeeper")) as installation,
        control_plane.client() as client,
    ):
        namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("scripted", "certified")]
        control_plane.apply(namespaces)
        stage = Stage(control_plane, certified, installation, "certified")
        theatres = {
            False: Theatre(installation, scripted, "scripted", tuple(Manner), client),
            True: Theatre(installation, CertifiedServer(stage), "certified", (Manner.FAMILY,), client),
        }
        for theatre in theatres.values():
            theatre.build()
        yield theatres


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


if __name__ == "__main__":
    sys.exit(main())
