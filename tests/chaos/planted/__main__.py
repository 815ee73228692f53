"""`python -m chaos.planted`: plant each mistake in a throwaway copy, let a storm blow, and demand that it breaks a rule that it should.

`--only claim-skipped,…` plants these; `--sound` lets the same storms blow over the operator as it is, which must break nothing.
About two minutes each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

from chaos.__main__ import conclude, run
from chaos.planted import HERE, PLANTS
from chaos.planted.planting import apply
from demo import ending

ROOT = Path(__file__).parents[3]
COPIED = ("operator", "tests", "charts", "crds", "pyproject.toml")
LASTING = 900.0


def main() -> int:
    """Plant; the exit status is 0 when each was found, or, where nothing was planted, when nothing was."""
    parser = argparse.ArgumentParser(prog="python -m chaos.planted")
    parser.add_argument("--only", default=",".join(PLANTS))
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--storm", help=argparse.SUPPRESS)
    told = parser.parse_args()
    ending.listen()
    try:
        if told.storm:
            return _blow(told.storm)
        results = [_try(name, is_planted=not told.sound) for name in told.only.split(",")]
    except ending.Ended as ended:
        return ended.status
    return 0 if all(results) else 1


def _try(name: str, *, is_planted: bool) -> bool:
    plant = PLANTS[name]
    print(f"\n── {name}: {plant.what if is_planted else 'nothing is planted'}", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="grantkeeper-planted-") as directory:
        copy = Path(directory)
        python = _copy(copy)
        if is_planted:
            apply((HERE / f"{name}.patch").read_text(), copy)
        report = copy / "report.json"
        environment = {**os.environ, "PYTHONPATH": f"{copy / 'operator'}:{copy / 'tests'}", "REPORT": str(report)}
        subprocess.run([python, "-m", "chaos.planted", "--storm", name], env=environment, cwd=copy, check=False, timeout=LASTING)
        found = json.loads(report.read_text()) if report.is_file() else None
    right = found is not None and (bool(plant.breaks & set(found)) if is_planted else not found)
    said = "no table was made" if found is None else "; ".join(sorted(found)) or "nothing was broken"
    print(f"{'✓' if right else '✗'} {name}: {said}", flush=True)  # noqa: T201
    return right


def _blow(name: str) -> int:
    """In the copy: the storm, and which rules it broke."""
    judgement = run(PLANTS[name].storm)
    status = conclude(judgement)
    Path(os.environ["REPORT"]).write_text(json.dumps(sorted({breach.rule for breach in judgement.breaches})))
    return status


def _copy(copy: Path) -> Path:
    """The tree, and an environment whose programs run the operator of the copy; its Python."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, copy / name)
    venv.create(copy / ".venv", symlinks=True)
    ours, theirs = Path(sys.executable).parent, copy / ".venv" / "bin"
    packages = sysconfig.get_path("purelib", vars={"base": str(copy / ".venv")})
    Path(packages, "copy.pth").write_text(f"{copy / 'operator'}\n{sysconfig.get_path('purelib')}\n")
    for program in ours.iterdir():
        if not (theirs / program.name).exists():
            (theirs / program.name).symlink_to(program)
    (theirs / "grantkeeper").unlink()
    (theirs / "grantkeeper").write_text(f"#!{theirs / 'python'}\nimport sys\nfrom grantkeeper.__main__ import main\nsys.exit(main())\n")
    (theirs / "grantkeeper").chmod(0o755)
    return theirs / "python"


if __name__ == "__main__":
    sys.exit(main())
