"""Principals: who makes a request, once his token or key was checked."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from libs.chassis.errors import NotAllowedError
from libs.contracts import ids
from libs.contracts.http.gateway_v1 import Scope


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """A person with an access token; `until` is when it ends."""

    user: UUID
    account: UUID
    until: datetime

    @property
    def caller(self) -> str:
        """Tell on whose behalf other services are asked; idempotency keys are his."""
        return f"user:{ids.show('user', self.user)}"


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """A service with an API key, which belongs to an account and may do what its scopes say."""

    key: UUID
    account: UUID
    scopes: frozenset[Scope]

    @property
    def caller(self) -> str:
        """Tell on whose behalf other services are asked."""
        return f"key:{ids.show('api_key', self.key)}"

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has the scope; `admin` has them all."""
        return scope in self.scopes or "admin" in self.scopes

    def may_report_for(self, account: UUID) -> bool:
        """Tell whether the key may report the usage of an account: its own, or any with the scope `admin`."""
        return account == self.account or "admin" in self.scopes

    def may_report_as(self, actor: str) -> bool:
        """Tell whether the key may report what somebody spent: itself, or anybody with the scope `admin`."""
        return actor == self.caller or "admin" in self.scopes

    @property
    def may_state_costs(self) -> bool:
        """Tell whether the key may say what serving a usage cost the operator: it is he who says it."""
        return "admin" in self.scopes


Principal: TypeAlias = SignedInUser | KeyHolder


def account_of(principal: Principal, named: UUID | None) -> UUID:
    """Tell on which account a principal acts: his own, or any with the scope `admin`. Raises NotAllowedError."""
    if named is None or named == principal.account:
        return principal.account
    if isinstance(principal, KeyHolder) and principal.may("admin"):
        return named
    raise NotAllowedError("this account is not yours to act on")
