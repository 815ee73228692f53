"""`make demo`: start everything, play, stop everything, and judge what happened by the report that is left."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import httpx

from demo import ending, screen, settings
from demo.checking import judge
from demo.play import Play
from demo.settings import Settings
from demo.stage import open_stage, require_ports
from parts import PartFailed

BEGUN = time.monotonic()


def main() -> int:
    """Run the demo; return the exit status."""
    ending.listen()
    try:
        chosen = settings.read(os.environ)
        require_ports(chosen)
        return run(chosen)
    except PartFailed as failure:
        screen.complain(str(failure))
        return 1
    except httpx.HTTPError as error:
        screen.complain(f"a part of the demo stopped answering: {error}; the logs are in {chosen.directory / 'logs'}")
        return 1
    except ending.Ended as ended:
        screen.say("", "Ended before a token was refreshed. Nothing that was started runs any more.", "")
        return ended.status


def run(chosen: Settings) -> int:
    """Play with these settings; the exit status is what the checker says of the report."""
    report = chosen.directory / "report.json"
    report.unlink(missing_ok=True)  # a run that fails must not leave an older one's success
    with tempfile.TemporaryDirectory(prefix="grantkeeper-demo-") as directory:
        play = None
        screen.show_title("grantkeeper: a person's consent becomes a token that stays fresh")
        screen.begin("Prepare")
        try:
            with open_stage(chosen, Path(directory)) as stage, Play(stage, chosen) as play:
                perform(play, chosen)
        except ending.Ended:
            if play is None or not play.has_shown_enough:
                raise
        finally:
            _keep_logs(Path(directory), chosen.directory / "logs")
            if play:
                report.write_text(play.report().model_dump_json(indent=1))
    return conclude(report)


def perform(play: Play, chosen: Settings) -> None:
    """Go through the acts."""
    screen.begin("Apply examples/01-first-grant")
    play.apply()
    screen.say("", f"Ready after {time.monotonic() - BEGUN:.0f} s.")
    screen.begin("Consent")
    play.consent()
    if not chosen.once:
        screen.say("", "It goes on like this. Ctrl-C ends the demo and stops everything.")
    play.keep()


def conclude(report: Path) -> int:
    """Say what the report proves; return the exit status."""
    screen.begin("What the report proves")
    verdict = judge(json.loads(report.read_text()))
    screen.show_verdict(verdict)
    shown = report.relative_to(settings.ROOT) if report.is_relative_to(settings.ROOT) else report
    screen.say("", "To check it again:")
    screen.show_to_copy(f"PYTHONPATH=tests .venv/bin/python -m demo.check {shown}")
    screen.say("")
    return 0 if verdict.good else 1


def _keep_logs(directory: Path, kept: Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in directory.glob("*/*.log"):
        if log.name != "audit.log":  # long, and of no use without the cluster
            shutil.copy(log, kept)


if __name__ == "__main__":
    sys.exit(main())
