from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from bench import cpu
from bench.grants import NAMESPACE, Seal, grant_manifest, grant_name, report, token_set
from bench.measuring import lifetime_for
from bench.settings import Settings, read
from bench.sights import Sights
from bench.tokens import Turn, access_token
from grantkeeper.core.keyring import ACTIVE, Keyring
from grantkeeper.core.records import Sealed
from grantkeeper.core.schedule import due_at
from grantkeeper.errors import Unsealable
from grantkeeper.resources import OAuthConnector, UserGrant

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def _connector(client: str = "bench") -> OAuthConnector:
    return OAuthConnector.read(
        {
            "metadata": {"name": "scripted", "namespace": NAMESPACE, "uid": "c", "resourceVersion": "1"},
            "spec": {"endpoints": {"authorization": "https://a", "token": "https://t"}, "clientID": client, "consent": {"link": "Status"}},
        }
    )


def test_what_is_sealed_opens_for_its_grant_and_no_other() -> None:
    keyring = Keyring.from_files({ACTIVE: b"key-1", "key-1": secrets.token_bytes(32)})
    seal = Seal(keyring, "cluster", _connector())
    tokens = token_set(Turn(5, 0), NOW, timedelta(hours=1))
    sealed = seal.write(Sealed(uid="uid-5", namespace=NAMESPACE, name=grant_name(5)), tokens, generation=4)
    assert seal.read(sealed) == (tokens, 4)
    assert sealed.meta is not None
    assert (sealed.meta.generation, sealed.meta.expires_at) == (4, NOW + timedelta(hours=1))
    with pytest.raises(Unsealable):
        seal.read(sealed.model_copy(update={"uid": "uid-6"}))
    with pytest.raises(Unsealable):
        Seal(keyring, "cluster", _connector("another")).read(sealed)


def test_what_is_reported_of_a_grant_needs_no_second_report() -> None:
    body = grant_manifest(5)
    body["metadata"] |= {"uid": "uid-5", "resourceVersion": "7", "generation": 1}
    grant, tokens = UserGrant.read(body), token_set(Turn(5, 0), NOW, timedelta(hours=1))
    seal = Seal(Keyring.from_files({ACTIVE: b"key-1", "key-1": secrets.token_bytes(32)}), "cluster", _connector())
    sealed = seal.write(Sealed(uid="uid-5", namespace=NAMESPACE, name=grant_name(5)), tokens, generation=1)
    patch = report(grant, _connector(), sealed, tokens)
    conditions = {condition["type"]: condition["status"] for condition in patch["status"]["conditions"]}
    assert conditions == dict.fromkeys(("Accepted", "Authorized", "Fresh", "Delivered", "Ready"), "True")
    assert patch["metadata"]["resourceVersion"] == "7"
    assert report(UserGrant.read({**body, "status": patch["status"]}), _connector(), sealed, tokens) == {}


@pytest.mark.parametrize("interval", [5, 50, 600])
def test_the_lifetime_leads_to_the_interval_that_was_asked_for(interval: float) -> None:
    lifetime = lifetime_for(interval)
    intervals = [
        (due_at(obtained_at=NOW, expires_at=NOW + lifetime, percent=75, uid=f"uid-{n}") - NOW).total_seconds() for n in range(1000)
    ]
    assert sum(intervals) / len(intervals) == pytest.approx(interval, rel=0.1)


def test_the_long_form_differs_from_the_short_one_in_how_long_and_how_many_are_due() -> None:
    short, long = read({}), read({"LONG": "1"})
    assert (short.few, short.many) == (long.few, long.many) == (1_000, 10_000)
    assert short.due < long.due == 10_000
    assert short.window < long.window
    assert Settings().interval == 50


def test_a_process_name_may_hold_blanks_and_brackets() -> None:
    stat = "4242 (a (strange) name) S 1 4242 4242 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 9 0 12345 1000000 5000"
    assert cpu.read_stat(stat) == 175


def test_resident_memory_is_in_bytes() -> None:
    assert cpu.read_status("Name:\tpython\nVmPeak:\t  999 kB\nVmRSS:\t  2048 kB\n") == 2048 * 1024


def test_the_first_sight_of_a_token_counts_and_the_last_change_of_a_secret() -> None:
    sights = Sights()

    def event(kind: str, token: str) -> dict[str, object]:
        return {
            "type": kind,
            "object": {"metadata": {"name": "a-token"}, "data": {"access_token": base64.b64encode(token.encode()).decode()}},
        }

    sights.note(event("ADDED", access_token(Turn(1, 1))), 1.0)
    sights.note(event("MODIFIED", access_token(Turn(1, 1))), 2.0)
    sights.note(event("DELETED", access_token(Turn(1, 2))), 3.0)
    sights.note(event("MODIFIED", "somebody else's"), 4.0)
    assert sights.seen == {Turn(1, 1): 1.0}
    assert sights.changed == {"a-token": 4.0}
