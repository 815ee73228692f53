"""Judge the report of a run again: `python -m demo.check build/demo/report.json`. The exit status is the verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from demo import screen
from demo.checking import judge


def main(arguments: list[str]) -> int:
    """Judge the report that is named; return 0 when it shows what the demo promises, 1 when not, 2 when there is none to judge."""
    match arguments:
        case [path]:
            pass
        case _:
            print("usage: python -m demo.check REPORT", file=sys.stderr)  # noqa: T201
            return 2
    try:
        document = json.loads(Path(path).read_text())
    except OSError as error:
        print(f"{path} cannot be read: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 2
    except ValueError:
        print(f"{path} is not JSON, so it is no report of the demo.", file=sys.stderr)  # noqa: T201
        return 2
    verdict = judge(document)
    screen.show_verdict(verdict)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
