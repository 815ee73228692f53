"""`make chaos`: three replicas in a storm, and the table of what came of it; fails with the story of whatever broke.

`python -m chaos build/chaos/evidence.pickle` judges once more what the last storm left behind.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import sys
import tempfile
from pathlib import Path
from time import monotonic

from bench import screen
from bench.figures import find_faults
from chaos import settings
from chaos.judging import Judgement, judge
from chaos.settings import Settings
from chaos.stage import REPLICAS, installed, open_stage
from chaos.storm import Storm
from chaos.wires import Wires
from demo import ending
from parts import PartFailed

KEPT = Path(__file__).parents[2] / "build" / "chaos"
EVIDENCE = "evidence.pickle"
STORIES = 5
"""Of each rule that is told."""


def main() -> int:
    """Run a storm; return the exit status."""
    ending.listen()
    try:
        judgement = judge_again(Path(sys.argv[1])) if len(sys.argv) > 1 else run(settings.read(os.environ))
    except (PartFailed, TimeoutError) as failure:
        print(f"\n✗ {failure}", file=sys.stderr)  # noqa: T201
        return 1
    except ending.Ended as ended:
        return ended.status
    return conclude(judgement)


def run(chosen: Settings) -> Judgement:
    """Let a storm blow with these settings, and judge it."""
    created_at = monotonic()
    print(describe(chosen), flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="grantkeeper-chaos-") as name:
        directory = Path(name)
        try:
            with (
                open_stage(directory) as stage,
                Wires(stage.control_plane.port, REPLICAS) as wires,
                installed(stage, directory / "grantkeeper", [wire.port for wire in wires.all]) as installation,
            ):
                stage.build()
                storm = Storm(stage, installation, wires, chosen, created_at)
                try:
                    asyncio.run(storm.rage())
                finally:
                    seen = storm.evidence, (storm.began_at, storm.over_at), max(storm.lifetimes), storm.unwell
                    (directory / EVIDENCE).write_bytes(pickle.dumps(seen))  # so that it can be judged again
        finally:
            _keep_logs(directory)
    least = (chosen.refreshes, chosen.kills) if chosen.refreshes and chosen.kills else None
    between = storm.began_at, storm.over_at
    return judge(storm.evidence, between=between, lifetime=max(storm.lifetimes), unwell=storm.unwell, least=least)


def judge_again(kept: Path) -> Judgement:
    """Judge what a storm left behind."""
    evidence, between, lifetime, unwell = pickle.loads(kept.read_bytes())  # noqa: S301  # our own file
    return judge(evidence, between=between, lifetime=lifetime, unwell=unwell)


def describe(chosen: Settings) -> str:
    """What is about to happen, in a sentence or two."""
    what = f"{chosen.grants} grants, tokens of {chosen.lifetime} s, {REPLICAS} replicas, seed {chosen.seed}"
    if chosen.refreshes is None or chosen.kills is None:
        return f"{what}: {chosen.storm / 60:.1f} minutes of storm, and what it takes around it."
    return (
        f"{what}: until {chosen.refreshes:,} refreshes and {chosen.kills:,} kills are reached, an hour or more; "
        f"not beyond {chosen.storm / 60:.0f} minutes."
    )


def conclude(judgement: Judgement) -> int:
    """Print the table and the stories; the exit status."""
    print(f"\n{screen.draw(judgement.figures)}\n")  # noqa: T201
    for rule in sorted({breach.rule for breach in judgement.breaches}):
        stories = [breach.story for breach in judgement.breaches if breach.rule == rule]
        print("\n".join(f"✗ {rule}: {story}" for story in stories[:STORIES]))  # noqa: T201
    faults = find_faults(judgement.figures)
    for fault in faults:
        print(f"✗ {fault}")  # noqa: T201
    return 1 if faults else 0


def _keep_logs(directory: Path) -> None:
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    for file in (*directory.glob("*/*.log"), *directory.glob(EVIDENCE)):
        shutil.copy(file, KEPT)


if __name__ == "__main__":
    sys.exit(main())
