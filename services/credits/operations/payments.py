"""What payments tells us: a payment that succeeded grants its lots, a refunded one takes credits back."""

from collections.abc import Sequence
from datetime import datetime

from libs.chassis import failpoints, outbox
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.events import CreditsTakenBack, PaymentRefunded, PaymentSucceeded
from libs.contracts.events.base import Event
from libs.contracts.http.credits_v1 import TransactionType
from services.credits.domain.errors import LotMissingError, ReferenceReusedError
from services.credits.domain.postings import Cause, Grant, Posting, Result, TakeBack, key_of
from services.credits.operations.accounts import granted
from services.credits.operations.ledger import Ledger


async def settle(pool: Pool, ledger: Ledger, events: Sequence[PaymentSucceeded | PaymentRefunded]) -> list[Result]:
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


def _postings(event: PaymentSucceeded | PaymentRefunded) -> list[Posting]:
    if isinstance(event, PaymentSucceeded):
        return [*_grants(event)]
    return [*_take_backs(event)]


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


def _take_backs(event: PaymentRefunded) -> list[TakeBack]:
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


def _tell(result: Result, at: datetime) -> list[Event]:
    if result.outcome != "accepted":
        return []
    posting = result.posting
    if isinstance(posting, Grant):
        return [granted(posting, result, at)]
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
