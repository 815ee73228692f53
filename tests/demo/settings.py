"""How the demo runs, from the environment; what it cannot be is said in a sentence before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parts import PartFailed

ROOT = Path(__file__).parents[2]
PORTS = range(1024, 65536)
LIFETIMES = range(5, 3601)


@dataclass(frozen=True, slots=True)
class Settings:
    """`auto`: no browser, a scripted person consents. `once`: end after one refresh. `lifetime`: of access tokens, in seconds."""

    auto: bool = False
    once: bool = False
    lifetime: int = 60
    auth_port: int = 9443
    consent_port: int = 8088
    directory: Path = ROOT / "build" / "demo"
    """Where the report and the logs are left."""


def read(environment: Mapping[str, str]) -> Settings:
    """Read AUTO, ONCE, LIFETIME, AUTH_PORT, CONSENT_PORT and DEMO_DIRECTORY; an empty one is one that is not set."""
    given = {name: value for name, value in environment.items() if value}
    default = Settings()
    settings = Settings(
        auto=_switch("AUTO", given),
        once=_switch("ONCE", given),
        lifetime=_number("LIFETIME", given, default.lifetime, LIFETIMES, "seconds"),
        auth_port=_number("AUTH_PORT", given, default.auth_port, PORTS, "a port"),
        consent_port=_number("CONSENT_PORT", given, default.consent_port, PORTS, "a port"),
        directory=Path(given.get("DEMO_DIRECTORY", default.directory)).absolute(),
    )
    if settings.auth_port == settings.consent_port:
        raise PartFailed(f"AUTH_PORT and CONSENT_PORT are both {settings.auth_port}; two servers need two ports.")
    return settings


def _switch(name: str, given: Mapping[str, str]) -> bool:
    value = given.get(name, "0")
    if value not in {"0", "1"}:
        raise PartFailed(f"{name} is '{value}'; it is 1 for yes, 0 or nothing for no.")
    return value == "1"


def _number(name: str, given: Mapping[str, str], default: int, allowed: range, what: str) -> int:
    value = given.get(name, str(default))
    if not (value.isascii() and value.isdigit() and int(value) in allowed):
        raise PartFailed(f"{name} is '{value}'; it must be {what}, from {allowed[0]} to {allowed[-1]}.")
    return int(value)
