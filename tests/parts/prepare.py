"""Have at hand what the tests and the demo run on, with progress shown: `python -m parts.prepare [--browser]`.

A test that had to build Kubernetes would look as if it hung, so this comes first.
"""

from __future__ import annotations

import sys

from parts import PartFailed, authserver, binaries, chromium, toolchains


def main(arguments: list[str]) -> int:
    """Fetch and build what is missing; return the exit status."""
    try:
        binaries.obtain()
        toolchains.node()
        authserver.installed()
        if "--browser" in arguments:
            chromium.executable()
    except PartFailed as failure:
        print(failure, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
