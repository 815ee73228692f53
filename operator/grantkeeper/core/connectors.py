"""A connector as one of its grants sees it: what of it decides what may be done for that grant."""

from __future__ import annotations

from collections.abc import Mapping

from grantkeeper.choices import ConsentLink, TokenStorage
from grantkeeper.core.admission import judge_admission
from grantkeeper.core.facts import ConnectorFacts
from grantkeeper.core.standing import Standing
from grantkeeper.resources import OAuthConnector, UserGrant


def see_connector(
    grant: UserGrant, connector: OAuthConnector | None, standing: Standing, labels: Mapping[str, str] | None
) -> ConnectorFacts:
    """The connector that a grant refers to; `labels` are those of the grant's namespace, None where they have not been read."""
    asking, (home, name) = grant.metadata.namespace, grant.connector_name
    elsewhere = home if home != asking else None
    if connector is None:
        return ConnectorFacts(name, exists=False, ready=False, endpoints_known=False, namespace=elsewhere)
    offered = connector.spec.scopes
    return ConnectorFacts(
        name,
        exists=True,
        ready=standing.is_ready,
        endpoints_known=standing.endpoints is not None and standing.secret_problem is None,
        is_judged=standing.is_judged,
        lacks=tuple(scope for scope in grant.spec.scopes if scope not in offered) if offered else (),
        shows_links=connector.spec.consent.link is ConsentLink.STATUS,
        keeps_tokens=connector.spec.token_storage is TokenStorage.ENABLED,
        namespace=elsewhere,
        admission=judge_admission(connector.spec.allowed_namespaces, home=home, asking=asking, labels=labels),
    )
