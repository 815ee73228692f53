"""A real Chromium: the machine's own, else the one that playwright keeps."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from parts import PartFailed, toolchains
from parts.progress import step

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def executable() -> Path:
    """Return the browser to run; playwright's own is fetched when there is none."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return Path(found)
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    if not own.exists():
        _install()
    return own


def _install() -> None:
    try:
        with step("fetching a Chromium"):
            toolchains.run([sys.executable, "-m", "playwright", "install", "chromium"], "playwright install")
    except PartFailed as failure:
        raise PartFailed(f"There is no Chromium, and none could be fetched; on Debian: sudo apt install chromium.\n{failure}") from None
