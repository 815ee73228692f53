"""What the demo prints: short lines, nothing that moves except the last one, and no token ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape

from demo import tables
from demo.checking import Verdict
from demo.example import CONNECTOR, Substitution
from demo.report import Introspection, Sight
from demo.workload import Mount

console = Console(highlight=False)


def show_title(text: str) -> None:
    """The first line."""
    console.print(f"\n[bold]{text}[/]")


def begin(act: str) -> None:
    """The heading of another act."""
    console.print(f"\n[bold cyan]{act}[/]")


def say(*lines: str) -> None:
    """Lines of text; markup is understood."""
    for line in lines:
        console.print(f"  {line}" if line else "", soft_wrap=True)


def show_to_copy(text: str) -> None:
    """One line that people copy: an address or a command, never broken."""
    console.print(f"    [bold]{escape(text)}[/]", soft_wrap=True)


def complain(sentence: str) -> None:
    """Why the demo cannot go on."""
    console.print(f"\n[red]✗[/] {escape(sentence)}\n", soft_wrap=True)


def show_example(replaced: Iterable[Substitution], client_id: str, redirect_uri: str) -> None:
    """In what the applied example differs from its files, and what was done at the authorization server."""
    say(f"Its files as they are, but for these fields of {CONNECTOR}:")
    for one in replaced:
        console.print(f"    {one.kind:<15} {'.'.join(one.field):<24} {escape(one.shown)}", soft_wrap=True)
    say("", f"The client {client_id} was registered at the authorization server,", "with the redirect URI that the connector shows:")
    show_to_copy(redirect_uri)


def show_kubeconfig(path: Path) -> None:
    """How to look around."""
    say("", "To look around from another terminal while the demo runs:")
    show_to_copy(f"export KUBECONFIG={path}")


def show_table(command: str, table: str) -> None:
    """What kubectl printed, and how to have it print that."""
    width = console.width - 2 if console.is_terminal else None
    fitting, left_out = tables.fit(table, width)
    hint = f"  [dim]# too wide for here: {', '.join(left_out)}[/]" if left_out else ""
    say("", f"[green]$[/] [bold]{command}[/]{hint}", *map(escape, fitting.splitlines()))


def show_stand_in(mount: Mount, directory: Path) -> None:
    """Who reads the token here, in the place of whom."""
    begin("The token, as the workload sees it")
    say(
        f"The Pod {mount.pod} mounts the Secret {mount.secret}. This Kubernetes",
        "has no node, so the Pod stays Pending; a stand-in keeps this directory as",
        f"kubelet would keep {mount.path}, and reads it as the Pod would:",
    )
    show_to_copy(str(directory))
    say("It shows the beginning of each token's SHA-256, never the token.")


def show_sight(sight: Sight, before: Sight | None, said: Introspection) -> None:
    """What the consumer found, in one line."""
    left = (sight.expires_at - sight.time).total_seconds()
    news = "the first"
    if before:
        ahead = (before.expires_at - sight.time).total_seconds()
        news = f"refreshed {ahead:.0f} s ahead" if ahead > 0 else f"[red]refreshed {-ahead:.0f} s late[/]"
    state = "[green]active[/]" if said.active else "[red]not active[/]"
    token = f"[bold]{sight.token[:12]}[/]  until {sight.expires_at:%H:%M:%S}Z ({left:.0f} s)"
    say("", f"[magenta]token[/]  {token}  {news}, server says {state}")


def show_verdict(verdict: Verdict) -> None:
    """What a report proves, or does not."""
    for finding in verdict.findings:
        console.print(f"{'[green]✓[/]' if finding.holds else '[red]✗[/]'} {escape(finding.sentence)}", soft_wrap=True)


class Line(Protocol):
    """The last line, which says what is awaited."""

    def update(self, status: str) -> None:
        """Say something else."""


@contextmanager
def waiting(text: str) -> Iterator[Line]:
    """Keep a last line that moves while something is awaited; where the output is no terminal there is none."""
    if console.is_terminal:
        with console.status(text) as line:
            yield line
    else:
        yield _NoLine()


class _NoLine:
    def update(self, status: str) -> None:
        """Say nothing."""
