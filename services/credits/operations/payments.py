"""What payments tells us: what was paid or redeemed grants its lots, a refunded payment takes credits back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from libs.chassis import failpoints, outbox
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.events import (
    CreditsTakenBack,
    DisputeClosed,
    DisputeOpened,
    DisputeUpdated,
    GiftCardTakenBack,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSucceeded,
    VoucherRedeemed,
)
from libs.contracts.events.base import Event
from libs.contracts.http.credits_v1 import TransactionType
from services.credits.domain.errors import LotMissingError, ReferenceReusedError
from services.credits.domain.postings import Cause, Grant, Posting, Result, SetAside, TakeBack, key_of
from services.credits.operations.accounts import granted
from services.credits.operations.ledger import Ledger
from services.credits.operations.returns import hold_of

Refunded: TypeAlias = PaymentRefunded | PaymentRefundFailed
Disputed: TypeAlias = DisputeOpened | DisputeUpdated | DisputeClosed
Told: TypeAlias = PaymentSucceeded | Refunded | Disputed | VoucherRedeemed | GiftCardTakenBack

_DISPUTE_LIFE = timedelta(days=366)
"""For how long a dispute may take that nobody tells the end of; then what was set aside for it is free."""


async def settle(pool: Pool, ledger: Ledger, events: Sequence[Told]) -> list[Result]:
    """Apply what payments told, all in one batch; what was told before changes nothing.

    Raises LotMissingError and ReferenceReusedError: then nothing of the batch has happened.
    """
    postings = [posting for event in events for posting in _postings(event)]
    async with pool.transaction() as conn:
        at, results = await ledger.apply(conn, postings)
        _refuse_what_cannot_be(results)
        told: list[Event] = []
        for result in results:
            told += _tell(result, at)
        await outbox.append(conn, *told, at=at)
        failpoints.reach("credits.settle.before_commit")
    failpoints.reach("credits.settle.after_commit")
    return results


def _postings(event: Told) -> list[Posting]:
    if isinstance(event, PaymentSucceeded):
        return [*_grants(event)]
    if isinstance(event, VoucherRedeemed):
        return [_redeemed(event)]
    if isinstance(event, GiftCardTakenBack):
        return [_gift_taken_back(event)]
    if isinstance(event, Refunded):
        return [*_take_backs(event, [refund.hex for refund in event.refunds])]
    if isinstance(event, DisputeOpened):
        return [*_set_asides(event), *_take_backs(event, [])]
    return [*_take_backs(event, [event.dispute])]


def _grants(event: PaymentSucceeded) -> list[Grant]:
    reference = ids.show("purchase", event.purchase)
    costs = _shares(event.paid.amount_minor, [lot.credits for lot in event.lots])
    return [
        Grant(
            account=event.account,
            key=key_of("grant", event.account.hex, lot.kind, reference),
            fingerprint=key_of(str(lot.credits), event.paid.currency, str(event.paid.amount_minor)),
            amount=lot.credits,
            cause=Cause(_TYPES.get(lot.kind, "bonus"), "purchase", reference, event.description),
            lot=ids.new_id(),
            kind=lot.kind,
            expires_at=lot.expires_at,
            cost_minor=cost,
            currency=event.paid.currency,
        )
        for lot, cost in zip(event.lots, costs, strict=True)
    ]


def _redeemed(event: VoucherRedeemed) -> Grant:
    """Grant what a voucher brings, once, whoever tells it how often: one that was paid for at what it cost."""
    reference = ids.show("voucher", event.voucher)
    paid = event.paid
    return Grant(
        account=event.account,
        key=key_of("voucher", event.account.hex, reference),
        fingerprint=key_of(str(event.credits), event.kind, *((paid.currency, str(paid.amount_minor)) if paid else ())),
        amount=event.credits,
        cause=Cause("purchase" if paid else "granted", "voucher", reference, event.description),
        lot=ids.new_id(),
        kind=event.kind,
        expires_at=event.expires_at,
        cost_minor=paid.amount_minor if paid else None,
        currency=paid.currency if paid else None,
    )


def _gift_taken_back(event: GiftCardTakenBack) -> TakeBack:
    """Follow the price of a gift card; who redeemed it owes nothing of what he has spent."""
    reference = ids.show("voucher", event.voucher)
    return TakeBack(
        account=event.account,
        key=key_of("take_back", event.account.hex, "purchased", reference, str(event.revision)),
        fingerprint=key_of(str(event.credits)),
        amount=event.credits,
        cause=Cause("payment_refund", "voucher", reference, event.description),
        kind="purchased",
        revision=event.revision,
        owed=False,
    )


_TYPES: dict[str, TransactionType] = {"purchased": "purchase", "membership": "membership"}


def _shares(amount: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights; cumulative rounding, so that the parts add up to it."""
    total, seen, given = sum(weights), 0, 0
    shares = []
    for weight in weights:
        seen += weight
        upto = amount * seen // total
        shares.append(upto - given)
        given = upto
    return shares


def _set_asides(event: DisputeOpened) -> list[SetAside]:
    """Hold what a bank disputes and has not taken, unless later news of the payment came before."""
    reference = ids.show("purchase", event.purchase)
    return [
        SetAside(
            account=event.account,
            key=(hold := hold_of(event.dispute, lot.kind)),
            fingerprint=hold,
            amount=lot.credits,
            cause=Cause("hold", "purchase", reference, "Set aside for a dispute"),
            id=hold,
            kind=lot.kind,
            whole=False,
            expires_at=event.occurred_at + _DISPUTE_LIFE,
            revision=event.revision,
        )
        for lot in event.set_aside
    ]


def _take_backs(event: Refunded | Disputed, over: Sequence[str]) -> list[TakeBack]:
    """Follow the totals of what went back; what was set aside for what is over is taken first, or free."""
    reference = ids.show("purchase", event.purchase)
    return [
        TakeBack(
            account=event.account,
            key=key_of("take_back", event.account.hex, lot.kind, reference, str(event.revision)),
            fingerprint=key_of(str(lot.credits)),
            amount=lot.credits,
            cause=Cause("payment_refund", "purchase", reference, event.description),
            kind=lot.kind,
            revision=event.revision,
            set_aside=tuple(hold_of(one, lot.kind) for one in over),
        )
        for lot in event.take_back
    ]


def _refuse_what_cannot_be(results: Sequence[Result]) -> None:
    for result in results:
        if result.outcome == "no_lot":
            raise LotMissingError(f"no lot was granted for {result.posting.cause.reference_id}")
        if result.outcome in ("conflict", "invalid"):
            reference = result.posting.cause.reference_id
            raise ReferenceReusedError(f"{reference} came again with other content, or with one that cannot be")
        if result.outcome in ("not_open", "too_much"):  # only what nobody has paid for is ever refused so
            log.error("voucher.not_granted", voucher=result.posting.cause.reference_id, outcome=result.outcome)


def _tell(result: Result, at: datetime) -> list[Event]:
    if result.outcome != "accepted":
        return []
    posting = result.posting
    if isinstance(posting, Grant):
        return [granted(posting, result, at)]
    if isinstance(posting, SetAside) or result.credits == 0:  # held, or only free again
        return []
    return [
        CreditsTakenBack(
            account=posting.account,
            sequence=result.sequence,
            occurred_at=at,
            credits=result.credits,
            debt=result.debt_made,
            reference=posting.cause.reference_id or "",
            available=max(result.available, 0),
        )
    ]
