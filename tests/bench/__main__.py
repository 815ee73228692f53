"""`make bench`: measure, print the table, and fail with a sentence where a figure does not keep its bound."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench import screen, settings
from bench.figures import find_faults
from bench.judging import judge
from bench.measuring import measure
from bench.settings import Settings
from bench.stage import open_stage
from demo import ending
from parts import PartFailed

KEPT_LOGS = Path(__file__).parents[2] / "build" / "bench"


def main() -> int:
    """Run the bench; return the exit status."""
    ending.listen()
    try:
        return run(settings.read(os.environ))
    except (PartFailed, TimeoutError) as failure:
        print(f"\n✗ {failure}", file=sys.stderr)  # noqa: T201
        return 1
    except ending.Ended as ended:
        return ended.status


def run(chosen: Settings) -> int:
    """Measure with these settings and judge."""
    with tempfile.TemporaryDirectory(prefix="grantkeeper-bench-") as directory:
        try:
            with open_stage(Path(directory)) as stage:
                measured = asyncio.run(measure(stage, chosen))
        finally:
            _keep_logs(Path(directory))
    figures = judge(measured, many=chosen.many, few=chosen.few)
    refreshes = measured.refreshes
    print(f"\n{refreshes.number:,} refreshes in {refreshes.lasted:.0f} s\n\n{screen.draw(figures)}\n")  # noqa: T201
    faults = find_faults(figures)
    for fault in faults:
        print(f"✗ {fault}")  # noqa: T201
    return 1 if faults else 0


def _keep_logs(directory: Path) -> None:
    shutil.rmtree(KEPT_LOGS, ignore_errors=True)
    KEPT_LOGS.mkdir(parents=True)
    for log in (*directory.glob("*/*.log"), *directory.glob("*.log")):
        if log.name != "audit.log":  # long, and of no use without the cluster
            shutil.copy(log, KEPT_LOGS)


if __name__ == "__main__":
    sys.exit(main())
