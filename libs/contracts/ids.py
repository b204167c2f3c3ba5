"""Ids: UUIDv7 inside and in the database; with a prefix that tells the kind wherever people see them.

`acc_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3`: the prefix and the UUID's 32 hexadecimal digits, so that one can be searched
for the other by eye. The caller makes the id, and the id is the idempotency key.
"""

import hashlib
import os
import re
import time
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

PREFIXES = {
    "account": "acc",
    "user": "usr",
    "api_key": "key",
    "purchase": "pur",
    "refund": "ref",
    "lot": "lot",
    "hold": "hld",
    "grant": "grt",
    "transaction": "txn",
    "charge": "chg",
    "transfer": "trf",
    "event": "evt",
    "message": "msg",
    "voucher": "vch",
    "voucher_batch": "vbt",
    "gift_card": "gft",
    "finding": "fnd",
    "card_setup": "cst",
    "payment_method": "pmt",
}

_DIGITS = re.compile("[0-9a-fA-F]{32}")


def new_id() -> UUID:
    """Make a UUIDv7 (RFC 9562): 48 bits of milliseconds, then randomness, so that keys sort by the time of making.

    A process's own sort in the order in which they were made, in the same millisecond too.
    """
    global _newest  # noqa: PLW0603 - the order is the process's
    fresh = (time.time_ns() // 1_000_000) << 74 | _random_bits(74)
    _newest = fresh if fresh > _newest else _newest + 1 + _random_bits(32)
    return _uuid(_newest >> 74, _newest)


_newest = 0


def at_millis(millis: int) -> UUID:
    """Make a UUIDv7 for an instant in milliseconds since 1970."""
    return _uuid(millis, _random_bits(74))


def named_at(at: datetime, name: str) -> UUID:
    """Make the UUIDv7 of what has a name from this instant on: whoever makes it again makes the same."""
    return _uuid(int(at.timestamp() * 1000), int.from_bytes(hashlib.sha256(name.encode()).digest()[:10]) >> 6)


def _uuid(millis: int, tail: int) -> UUID:
    return UUID(int=millis << 80 | 0x7 << 76 | (tail >> 62 & 0xFFF) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1))


def _random_bits(number: int) -> int:
    return int.from_bytes(os.urandom(10)) >> (80 - number)


def show(kind: str, value: UUID) -> str:
    """Write an id of this kind (a key of PREFIXES) as people see it."""
    return f"{PREFIXES[kind]}_{value.hex}"


def read(kind: str, text: str) -> UUID:
    """Read an id of this kind. Raises ValueError if it is not one."""
    prefix = PREFIXES[kind] + "_"
    if not text.startswith(prefix) or not _DIGITS.fullmatch(text, len(prefix)):
        raise ValueError(f'this is not the id of a {kind.replace("_", " ")}: those look like "{prefix}018f..."')
    return UUID(hex=text[len(prefix) :])


def _kind(kind: str) -> Any:
    def validate(value: Any) -> Any:
        return value if isinstance(value, UUID) else read(kind, value) if isinstance(value, str) else value

    pattern = f"^{PREFIXES[kind]}_[0-9a-f]{{32}}$"
    return Annotated[
        UUID,
        BeforeValidator(validate),
        PlainSerializer(lambda value: show(kind, value), return_type=str, when_used="json"),
        WithJsonSchema({"type": "string", "pattern": pattern}),
    ]


AccountId = _kind("account")
UserId = _kind("user")
ApiKeyId = _kind("api_key")
PurchaseId = _kind("purchase")
RefundId = _kind("refund")
LotId = _kind("lot")
HoldId = _kind("hold")
GrantId = _kind("grant")
TransactionId = _kind("transaction")
ChargeId = _kind("charge")
TransferId = _kind("transfer")
MessageId = _kind("message")
VoucherId = _kind("voucher")
VoucherBatchId = _kind("voucher_batch")
GiftCardId = _kind("gift_card")
FindingId = _kind("finding")
CardSetupId = _kind("card_setup")
PaymentMethodId = _kind("payment_method")
