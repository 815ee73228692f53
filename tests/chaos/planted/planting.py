"""Patches, applied strictly: what a hunk replaces must be in its file exactly once, wherever in it. Nothing is guessed."""

from __future__ import annotations

import re
from pathlib import Path

from parts import PartFailed

_HUNK = re.compile(r"^@@ .*$", re.MULTILINE)
_FILE = re.compile(r"^--- a/(.+)\n\+\+\+ b/\1\n", re.MULTILINE)


def apply(patch: str, tree: Path) -> None:
    """Apply a unified diff to a tree; PartFailed in a sentence where it does not fit any more."""
    _, *parts = _FILE.split(patch)
    for name, hunks in zip(parts[::2], parts[1::2], strict=True):
        path = tree / name
        text = path.read_text()
        for hunk in _HUNK.split(hunks)[1:]:
            before, after = _side(hunk, "-"), _side(hunk, "+")
            if text.count(before) != 1:
                raise PartFailed(f"{name} is no longer what the patch was made for; make it anew for:\n{hunk.strip()}")
            text = text.replace(before, after)
        path.write_text(text)


def _side(hunk: str, sign: str) -> str:
    """The lines before or after."""
    lines = hunk.strip("\n").split("\n")
    return "".join(f"{line[1:]}\n" for line in lines if line[:1] in {sign, " ", ""})
