"""Steps of everyday life: what people do with grants, how they answer, and what time brings."""

from __future__ import annotations

from random import Random

from cluster.everyday import FAULTY, SHORT, Fate, Grant, Life, Object
from cluster.everyday_steps import PATIENCE, grants, is_up, standing, step
from cluster.sealed_sets import Cabinet
from cluster.stage import sha256, status
from parts.person import Person
from parts.waiting import wait_for

# Grants come, change and go


@step(grants(lambda _life, grant: grant.spec is None), weight=12)
def apply_grant(life: Life, grant: Grant, dice: Random) -> None:
    """Apply a grant, also one whose namesake was deleted a moment ago, and goes with the controller's help."""
    if life.find(grant.path) is not None:
        life.raise_up("controller")
    wait_for(lambda: life.find(grant.path) is None, f"{grant.path} to be gone", within=PATIENCE)
    grant.spec = {"connectorRef": {"name": grant.connector.name}, "user": grant.account, "secrets": _draw_entries(grant, dice)}
    body = {"apiVersion": "grantkeeper.dev/v1alpha1", "kind": "UserGrant", "metadata": {"name": grant.name}, "spec": grant.spec}
    grant.uid = life.apply(grant.path.rpartition("/")[0], body)["metadata"]["uid"]
    grant.fates, grant.client, grant.is_forgotten, grant.may_be_finalized = {Fate.AWAITED}, "", False, False


@step(standing())
def delete_grant(life: Life, grant: Grant, _dice: Random) -> None:
    """Delete a grant. One for which no code was ever presented goes at once, whoever is down."""
    life.api.delete(grant.path).raise_for_status()
    if not grant.may_be_finalized:
        assert life.find(grant.path) is None, f"{grant.path} never held tokens, and is kept"
    if not grant.connector.exists or grant.is_replaced:
        life.may_be_kept.add(grant.uid)
    life.gone.add(grant.uid)
    grant.spec, grant.fates = None, set()


@step(standing(), weight=4)
def edit_secrets(life: Life, grant: Grant, dice: Random) -> None:
    """Ask for other Secrets, or in other forms."""
    life.edit(grant, secrets=_draw_entries(grant, dice))


@step(standing(lambda _life, grant: bool(grant.entries)))
def edit_labels(life: Life, grant: Grant, dice: Random) -> None:
    """Ask for other labels."""
    label = {"team": dice.choice(("reports", "sales", "platform"))}
    life.edit(grant, secrets=[{**entry, "labels": label} for entry in grant.entries])


@step(standing(lambda _life, grant: bool(grant.entries)))
def edit_template(life: Life, grant: Grant, dice: Random) -> None:
    """Ask for a file of one's own, which may be one that cannot be filled."""
    text = dice.choice(("Bearer [[ access_token ]]", "[[ user ]]:[[ account ]]", "[[ access_token | b64enc ]]", FAULTY))
    first, *rest = grant.entries
    life.edit(grant, secrets=[{**first, "templates": {"own": text}}, *rest])


@step(standing(), weight=1)
def edit_purpose(life: Life, grant: Grant, dice: Random) -> None:
    """Give another purpose: nothing but words."""
    life.edit(grant, purpose=f"The report of week {dice.randrange(53)} reads it.")


@step(standing())
def edit_expected_account(life: Life, grant: Grant, dice: Random) -> None:
    """Expect the account that will consent, another one, or none in particular."""
    life.edit(grant, expectedAccount=dice.choice((None, {"subject": grant.account}, {"subject": "somebody-else"})))


# People answer


def _can_answer(life: Life, grant: Grant) -> bool:
    is_asked = Fate.HELD not in grant.fates or (grant.is_replaced and all(fate.holds_tokens for fate in grant.fates))
    is_accepted = all(FAULTY not in entry.get("templates", {}).values() for entry in grant.entries)
    return is_asked and is_accepted and grant.connector.is_sound and is_up(life)


@step(standing(_can_answer), weight=20)
def consent(life: Life, grant: Grant, _dice: Random) -> None:
    """The person consents."""
    _answer(life, grant)
    _conclude(grant, is_lost=False)


@step(standing(_can_answer))
def deny(life: Life, grant: Grant, _dice: Random) -> None:
    """The person says no."""
    _answer(life, grant, deny=True)
    if not _may_hold(grant):
        grant.fates = {Fate.DENIED}


@step(standing(_can_answer), weight=1)
def consent_with_an_answer_cut(life: Life, grant: Grant, _dice: Random) -> None:
    """The person consents, and an answer of the token endpoint is lost: this one's, or that of a refresh."""
    known = len(life.auth_server.ledger())
    life.auth_server.cut()
    life.doubt()
    _answer(life, grant)
    came = life.auth_server.ledger()[known:]
    lost = [entry for entry in came if entry["grant_type"] == "authorization_code" and entry["delivered"] is False]
    _conclude(grant, is_lost=bool(lost))


def _conclude(grant: Grant, *, is_lost: bool) -> None:
    """What a code becomes: tokens, or the reason why there are none, which says nothing where others are held."""
    assert grant.spec is not None
    is_another = grant.spec.get("expectedAccount") == {"subject": "somebody-else"}
    if not is_lost and not is_another:
        grant.fates, grant.client, grant.is_forgotten = {Fate.HELD}, grant.connector.client, False
    elif not _may_hold(grant):
        grant.fates = {Fate.FAILED if is_lost else Fate.MISMATCHED}


def _may_hold(grant: Grant) -> bool:
    return any(fate.holds_tokens for fate in grant.fates)


def _answer(life: Life, grant: Grant, *, deny: bool = False) -> None:
    """Go through the pages by a link that the record knows, and come back when another one, or none, is shown."""
    life.raise_up("consent")
    link = ""

    def is_open() -> bool:
        nonlocal link
        link = status(life.find(grant.path) or {}).get("consentURL", "")
        digest = sha256(link.rpartition("/")[2])
        return any(request.hash == digest for request in Cabinet(life).open_requests(grant.uid, grant.connector))

    wait_for(is_open, f"a link of {grant.path} that can be answered", within=PATIENCE)
    if not deny:
        grant.may_be_finalized = True
    with Person(grant.account, trusting=[life.auth_server.ca]) as person:
        person.consent(link, deny=deny)
    wait_for(lambda: status(life.find(grant.path) or {}).get("consentURL") != link, f"{grant.path} to take the answer", within=PATIENCE)


# Time passes


@step(standing(lambda life, grant: grant.is_refreshed and is_up(life)), weight=3)
def let_refresh(life: Life, grant: Grant, _dice: Random) -> None:
    """Wait until its token has been refreshed."""
    before = _generation(life, grant)
    wait_for(lambda: _generation(life, grant) > before, f"a refresh of {grant.path}", within=PATIENCE)


@step(standing(lambda life, grant: grant.fate is Fate.HELD and is_up(life, "server")), weight=1)
def forget_account(life: Life, grant: Grant, _dice: Random) -> None:
    """The server drops everything that this account has consented to."""
    life.auth_server.forget(grant.account)
    if grant.connector.lifetime == SHORT:
        grant.fates = {Fate.DEAD}
    grant.is_forgotten = True


# Draws


def _draw_entries(grant: Grant, dice: Random) -> list[Object]:
    """None to three Secrets; the names are the same in every namespace, so that a mix-up shows."""
    forms: tuple[Object, ...] = ({}, {"format": "Header"}, {"format": "JSON"}, {"format": "Env", "env": "TOKEN"})
    names = dice.sample([f"{grant.name}-{suffix}" for suffix in ("token", "more", "spare")], dice.randint(0, 3))
    return [{"name": name, **dice.choice(forms)} for name in names]


def _generation(life: Life, grant: Grant) -> int:
    return int(status(life.find(grant.path) or {}).get("tokenGeneration", 0))
