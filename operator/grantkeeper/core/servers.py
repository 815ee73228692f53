"""What a connector's status tells of its server: who it is, where people are sent, and what it is known to be able to do."""

from __future__ import annotations

from grantkeeper.core.metadata import Endpoints
from grantkeeper.resources import ServerStatus

FEATURES = ("Refresh", "Revocation", "Introspection", "DeviceFlow", "OpenIDConnect", "PAR", "DPoP")
"""In the order in which they are shown: the same server is always described by the same text."""


def show_server(endpoints: Endpoints) -> ServerStatus:
    """The server as status shows it."""
    known = set(endpoints.announced)
    known |= {"Revocation"} if endpoints.revocation else set()
    known |= {"Introspection"} if endpoints.introspection else set()
    known |= {"OpenIDConnect"} if endpoints.openid else set()
    return ServerStatus(
        issuer=endpoints.issuer,
        authorization_endpoint=endpoints.authorization,
        iss_parameter_supported=endpoints.iss_parameter_supported,
        features=tuple(feature for feature in FEATURES if feature in known),
    )
