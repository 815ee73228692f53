"""A real Chromium: the machine's own, Debian's where it may be installed, else the one that playwright keeps."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from parts import PartFailed, toolchains
from parts.progress import step

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def executable() -> Path:
    """Return the browser to run, installed or fetched when there is none."""
    if found := _find():
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _install_packaged()
        if found := _find():
            return found
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    if not own.exists():
        _install()
    return own


def _find() -> Path | None:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def _install_packaged() -> None:
    """Debian's own, where we may: a machine that is made anew for each run is root's and has nothing."""
    with step("installing Debian's chromium"):
        toolchains.run(["apt-get", "update", "--quiet"], "apt-get update")
        toolchains.run(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"], "apt-get install")


def _install() -> None:
    try:
        with step("fetching a Chromium"):
            toolchains.run([sys.executable, "-m", "playwright", "install", "chromium"], "playwright install")
    except PartFailed as failure:
        raise PartFailed(f"There is no Chromium, and none could be fetched; on Debian: sudo apt install chromium.\n{failure}") from None
