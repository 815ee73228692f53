"""Bring the consent link to somebody: to the person at the terminal, or to one that a script plays."""

from __future__ import annotations

import os
import sys
import webbrowser
from urllib.parse import urlsplit

from demo import screen
from parts.authserver import AuthServer
from parts.person import Person

ACCOUNT = "alice"


def play_the_person(link: str, auth_server: AuthServer) -> None:
    """Open the link, agree, log in and allow, as a person would; plain HTTP in the place of a browser."""
    screen.say("", "The grant's status has the link under which Alice is asked:")
    screen.show_to_copy(link)
    with Person(ACCOUNT, trusting=[auth_server.ca]) as person:
        page = person.consent(link)
    screen.say(f"A scripted person opened it, logged in as {ACCOUNT}, and allowed it.", f"The last page says “{page.heading}”.")


def ask_the_person(link: str, auth_server: AuthServer) -> None:
    """Say what will happen, and open the link in the person's browser where there is one."""
    screen.say(
        "",
        "Now you are Alice. In your browser:",
        "1. Grantkeeper says who asks for what, and why. Continue.",
        f"2. The browser warns of {urlsplit(auth_server.issuer).netloc}: its certificate was made on this",
        "   machine a moment ago. Let it pass:",
        "     Chrome, Edge   Advanced, then “Proceed to 127.0.0.1 (unsafe)”",
        "     Firefox        Advanced, then “Accept the Risk and Continue”",
        "     Safari         Show Details, then “visit this website”",
        f"3. The authorization server asks who you are: {ACCOUNT}, with any password.",
        "4. It asks whether you allow this. Allow it; or deny it and see what happens.",
    )
    if "SSH_CONNECTION" in os.environ:
        ports = " ".join(f"-L {port}:127.0.0.1:{port}" for port in (urlsplit(link).port, auth_server.port))
        screen.say("", "Is your browser on another machine? Then forward two ports to this one:", f"  ssh {ports} …")
    opened = _has_windows() and webbrowser.open(link)
    screen.say("", f"{'Your browser opens' if opened else 'Open'} this link, which the grant's status has:")
    screen.show_to_copy(link)


def ask_again(link: str) -> None:
    """Show another link after the first one was answered."""
    screen.say("", "The grant's status has a new link, to ask again:")
    screen.show_to_copy(link)


def _has_windows() -> bool:
    """Whether a browser can have a window; one in the terminal would write over the demo."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
