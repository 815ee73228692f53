"""The commands of the image: one a process. Each imports only what its process needs."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of

import typer

from grantkeeper import alongside, logs
from grantkeeper.errors import GrantkeeperError, KeyringError, SettingsError
from grantkeeper.settings import ConsentSettings, ControllerSettings

UNUSABLE = 2
"""The exit status of a process that should not have started: starting it again will not help before somebody has acted."""

app = typer.Typer(
    help="Keeps people's OAuth consent on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show the local variables of every frame
)


@app.command()
def controller() -> None:
    """Watch the grants, exchange codes, refresh and deliver tokens."""
    settings = ControllerSettings.from_environment()
    logs.configure(settings.log_level)
    from grantkeeper.controller import process  # noqa: PLC0415  # the other process's libraries stay out

    process.run(settings)


@app.command()
def consent() -> None:
    """Serve the pages on which people consent."""
    settings = ConsentSettings.from_environment()
    logs.configure(settings.log_level)
    from grantkeeper.consent import process  # noqa: PLC0415  # the other process's libraries stay out

    process.run(settings)


@app.command()
def all_in_one() -> None:
    """Run both side by side, for development and small clusters; they end together."""
    settings = ControllerSettings.from_environment(), ConsentSettings.from_environment()
    logs.configure(settings[0].log_level)
    sys.exit(alongside.run(*settings))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(version_of("grantkeeper"))


def main() -> None:
    """Run a command; what ends it is one sentence where we know what it was, and no traceback."""
    try:
        app()
    except GrantkeeperError as error:
        typer.echo(f"grantkeeper: {error}", err=True)
        sys.exit(UNUSABLE if isinstance(error, SettingsError | KeyringError) else 1)


if __name__ == "__main__":
    main()
