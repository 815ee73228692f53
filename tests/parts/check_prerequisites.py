"""Say in a sentence what a machine lacks before anything is installed on it.

Runs under whatever `python3` is, so it parses on Python 3.6 and imports nothing that is not there since then.
"""

# ruff: noqa: UP006, UP035, UP045  # the spellings of Python 3.6

import importlib.util
import os
import sys
from typing import List, Optional, Tuple

OLDEST = (3, 11)


def check_python(version: Tuple[int, ...]) -> Optional[str]:
    """Judge a version such as (3, 9, 2); return None, or a sentence that says what to do."""
    if version >= OLDEST:
        return None
    return (
        f"grantkeeper needs Python {_dotted(OLDEST)} or newer; this is {_dotted(version)}. "
        f"Install it, or say where it is: make demo PYTHON=/path/to/python{_dotted(OLDEST)}"
    )


def check_venv(missing: List[str], version: Tuple[int, ...]) -> Optional[str]:
    """Judge which of the modules that make a virtual environment are missing; return None, or a sentence that says what to do."""
    if not missing:
        return None
    return (
        f"this Python {_dotted(version)} cannot make virtual environments: its module {' and '.join(missing)} is missing. "
        f"On Debian and Ubuntu the package python{_dotted(version)}-venv has it: sudo apt install python{_dotted(version)}-venv"
    )


def check_system(name: str) -> Optional[str]:
    """Judge `os.name`; return None, or a sentence that says what to do."""
    if name == "posix":
        return None
    return "the demo and the tests run on Linux and macOS; on Windows, run them in WSL."


def findings() -> List[str]:
    """Return what this machine lacks, a sentence each."""
    version = tuple(sys.version_info[:3])
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    judged = (check_system(os.name), check_python(version), check_venv(missing, version))
    return [sentence for sentence in judged if sentence]


def _dotted(version: Tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version[:2])


if __name__ == "__main__":
    lacking = findings()
    for sentence in lacking:
        sys.stderr.write(sentence + "\n")
    sys.exit(1 if lacking else 0)
