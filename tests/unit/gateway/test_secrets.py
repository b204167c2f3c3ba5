"""Passwords, access tokens and API keys, as rules."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc.jwk import KeySet

from libs.chassis.errors import NotAuthenticatedError
from libs.chassis.tokens import new_key
from libs.contracts import ids
from services.gateway.domain import api_keys
from services.gateway.domain.access_tokens import LIFE, AccessTokens
from services.gateway.domain.api_keys import PresentedKey
from services.gateway.domain.passwords import Passwords
from services.gateway.domain.principals import KeyHolder

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class CountingHash:
    """The real hash, and how often it was asked."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.verified: list[str] = []

    def verify(self, password: str, known: str) -> bool:
        """Verify."""
        self.verified.append(known)
        return bool(self._real.verify(password, known))


async def test_a_password_fits_its_own_hash_only() -> None:
    passwords = Passwords()
    known = await passwords.hash("correct horse battery")
    assert known.startswith("$argon2id$")
    assert await passwords.fits("correct horse battery", known)
    assert not await passwords.fits("correct horse batterY", known)


async def test_an_unknown_person_costs_the_same_work_as_a_wrong_password() -> None:
    passwords = Passwords()
    known = await passwords.hash("correct horse battery")
    counting = CountingHash(passwords._argon2id)
    passwords._argon2id = counting  # type: ignore[assignment] # counts, else the same
    assert not await passwords.fits("a guess", known)
    assert not await passwords.fits("a guess", None)
    cost_of_wrong, cost_of_unknown = (known.split("$")[:4] for known in counting.verified)
    assert cost_of_wrong == cost_of_unknown == ["", "argon2id", "v=19", "m=65536,t=3,p=4"]


def test_an_access_token_names_its_user_until_it_ends() -> None:
    tokens, user, account = AccessTokens(KeySet([new_key("access")])), ids.new_id(), ids.new_id()
    token = tokens.issue(user=user, account=account, now=NOW)
    found = tokens.read(token, now=NOW + LIFE - timedelta(seconds=1))
    assert (found.user, found.account, found.until) == (user, account, NOW + LIFE)
    with pytest.raises(NotAuthenticatedError):
        tokens.read(token, now=NOW + LIFE)


def test_while_a_key_is_rotated_tokens_of_both_are_good() -> None:
    old, new = new_key("old"), new_key("new")
    before, during, after = (AccessTokens(KeySet([*keys])) for keys in ([old], [new, old], [new]))
    of_old = before.issue(user=ids.new_id(), account=ids.new_id(), now=NOW)
    of_new = during.issue(user=ids.new_id(), account=ids.new_id(), now=NOW)
    for token in (of_old, of_new):
        during.read(token, now=NOW)
    after.read(of_new, now=NOW)
    with pytest.raises(NotAuthenticatedError):
        after.read(of_old, now=NOW)


def test_a_key_that_is_shown_can_be_taken_apart_again() -> None:
    for _ in range(200):  # secrets may hold the underscore that parts them from the id
        key, secret = ids.new_id(), api_keys.new_secret()
        presented = PresentedKey.parse(f"{api_keys.prefix(key)}_{secret}")
        assert presented == PresentedKey(key, secret)
        assert presented.opens(api_keys.hash_of(secret))
        assert not presented.opens(api_keys.hash_of(api_keys.new_secret()))


def test_what_has_not_the_shape_of_a_key_is_none() -> None:
    good = f"{api_keys.prefix(ids.new_id())}_{api_keys.new_secret()}"
    for wrong in (
        "",
        "scrip_sk_",
        good[:-1],
        f"{good}a",
        f" {good}",
        good.replace("scrip_sk", "scrip_pk"),
        f"{good}\n",
    ):
        assert PresentedKey.parse(wrong) is None, wrong


def test_a_key_does_what_its_scopes_say_for_its_own_account() -> None:
    own, other = ids.new_id(), ids.new_id()
    writer = KeyHolder(ids.new_id(), own, frozenset({"usage:write"}))
    assert (writer.may("usage:write"), writer.may("credits:read")) == (True, False)
    assert (writer.may_report_for(own), writer.may_report_for(other)) == (True, False)
    admin = KeyHolder(ids.new_id(), own, frozenset({"admin"}))
    assert (admin.may("usage:write"), admin.may_report_for(other)) == (True, True)
