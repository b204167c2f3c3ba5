"""Codes of vouchers and gift cards: how they are made, read as people type them, and found again.

A code is 80 bits in Crockford's base32 (16 symbols, in groups of four). It is stored nowhere: it is made of a secret
and the voucher's id, so that it can be said again to whom it was issued, and is found by a hash that needs the secret.
"""

import base64
import hmac
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from libs.contracts.http.reconciliation_v1 import FindingKind
from libs.contracts.http.returns_v1 import RedeemedLot
from libs.contracts.money import Money

_BYTES = 10
_GROUP = 4
_RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_CROCKFORD = str.maketrans(_RFC_4648, _CROCKFORD)
_MISREAD = str.maketrans("ILO", "110")
_LENGTH = _BYTES * 8 // 5


class Codes:
    """Makes codes by the first of its secrets, and knows those that were made by any of them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def of(self, voucher: UUID) -> str:
        """Make the code of a new voucher."""
        return _code(self._secrets[0], voucher)

    def hash_of(self, voucher: UUID) -> bytes:
        """Tell by what the code of a new voucher is found."""
        return _hash(self._secrets[0], _read(self.of(voucher)))

    def again(self, voucher: UUID, code_hash: bytes) -> str:
        """Make the code of a voucher once more. Raises LookupError if the secret that made it is gone."""
        for secret in self._secrets:
            code = _code(secret, voucher)
            if hmac.compare_digest(_hash(secret, _read(code)), code_hash):
                return code
        raise LookupError("the secret by which this voucher's code was made is not among those that are set")

    def hashes(self, typed: str) -> list[bytes]:
        """Tell by what a typed code may be found; by nothing, if it cannot be one."""
        code = _read(typed)
        if len(code) != _LENGTH or not set(code) <= set(_CROCKFORD):
            return []
        return [_hash(secret, code) for secret in self._secrets]


def _code(secret: bytes, voucher: UUID) -> str:
    made = base64.b32encode(hmac.digest(secret, b"code:" + voucher.bytes, "sha256")[:_BYTES]).decode()
    symbols = made.translate(_TO_CROCKFORD)
    return "-".join(symbols[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def _hash(secret: bytes, code: str) -> bytes:
    return hmac.digest(secret, b"hash:" + code.encode(), "sha256")


def _read(typed: str) -> str:
    """Take a code as it was meant: without spaces and dashes, in capitals, and what looks like a digit as the digit."""
    symbols = "".join(char for char in typed if not char.isspace() and unicodedata.category(char) != "Pd")
    return symbols.upper().translate(_MISREAD)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was last told to be gone of a gift card's credits, in total, and under which revision of its purchase."""

    credits: int
    revision: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A voucher that somebody has redeemed; `purchase`, `cost_minor` and `currency` if it was paid for."""

    id: UUID
    account: UUID
    user: UUID
    description: str
    credits: int
    kind: str
    cost_minor: int | None
    currency: str | None
    credits_expire_after_days: int | None
    redeemed_at: datetime
    purchase: UUID | None = None
    taken_back: TakenBack | None = None

    @property
    def told_at(self) -> datetime:
        """Tell when the ledger was last told of it."""
        return self.taken_back.at if self.taken_back else self.redeemed_at

    @property
    def expires_at(self) -> datetime | None:
        """Tell from when on its credits cannot be spent."""
        days = self.credits_expire_after_days
        return None if days is None else self.redeemed_at + timedelta(days=days)

    @property
    def paid(self) -> Money | None:
        """Tell what was paid for it."""
        if self.cost_minor is None or self.currency is None:
            return None
        return Money(amount_minor=self.cost_minor, currency=self.currency)


@dataclass(frozen=True, slots=True)
class DueGiftCard:
    """A gift card whose code is to be told now."""

    id: UUID
    account: UUID
    user: UUID
    credits: int
    sender_name: str
    recipient_email: str
    recipient_name: str
    message: str | None


def against_ledger(voucher: Redeemed, lots: Sequence[RedeemedLot]) -> tuple[FindingKind, str] | None:
    """Name what of a redeemed voucher's lot is not as it was told, if anything.

    How much is gone of a card says less than the revision that the ledger has heard: what is spent stays.
    """
    if not lots:
        return "voucher_lot_missing", "the ledger has no lot of it"
    if wrong := _wrong(voucher, lots):
        return "voucher_lot_differs", wrong
    gone, back = lots[0], voucher.taken_back
    if back is not None and gone.revision < back.revision:
        return "voucher_not_taken_back", f"to go back {back.credits} (micro-credits), which the ledger has not heard"
    if gone.taken_back > (most := back.credits if back else 0):
        return "voucher_lot_differs", f"at most {most} were to go back, {gone.taken_back} went back (micro-credits)"
    return None


def _wrong(voucher: Redeemed, lots: Sequence[RedeemedLot]) -> str | None:
    if len(lots) > 1:
        return f"the ledger has {len(lots)} lots of it"
    lot = lots[0]
    if (lot.kind, lot.granted) != (voucher.kind, voucher.credits):
        return f"worth {voucher.kind} {voucher.credits}, granted {lot.kind} {lot.granted} (micro-credits)"
    return None if lot.account == voucher.account else "its credits went to another account"
