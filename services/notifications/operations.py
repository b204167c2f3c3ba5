"""What the service does: learns contacts, records what there is to tell, and tells it."""

from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis import failpoints
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.sealing import Seal
from libs.chassis.telemetry import MAILS, log
from libs.contracts.events.accounts_v1 import AccountOpened
from libs.contracts.events.payments_v1 import GiftCardIssued, PaymentCardLearned, PaymentRefunded, PaymentSucceeded
from libs.contracts.http.base import Page
from libs.contracts.http.notifications_v1 import Delivery
from libs.contracts.ids import new_id, show
from services.notifications import store
from services.notifications.clients import Mail, MailDelayedError, Mailer, MailRefusedError, MailServerAwayError
from services.notifications.domain.messages import Contact, GiftCardMail, Receipt, Recipient, RefundNotice, read_message
from services.notifications.domain.rendering import Templates
from services.notifications.domain.retries import next_try
from services.notifications.store import Due

_MAILS_A_PASS = 25
_RECEIPTS_WAIT_FOR_A_CARD = timedelta(seconds=5)
"""Stripe tells of a payment and of its charge at once, in either order; the charge alone shows the card."""


async def learn_contact(pool: Pool, opened: AccountOpened, *, at: datetime) -> None:
    """Keep where a person can be written to, and release what waited for that; a second telling changes nothing."""
    contact = Contact(opened.account, opened.user, opened.email, opened.name)
    async with pool.transaction() as conn:
        await store.hold_person(conn, contact.account, contact.user)
        if await store.add_contact(conn, contact, at=at):
            await store.release_waiting(conn, contact, at=at)
        failpoints.reach("notifications.contact.before_commit")


async def record_receipt(pool: Pool, paid: PaymentSucceeded, *, at: datetime) -> None:
    """Record the receipt of a payment, once per purchase. Without a card it waits a little for one."""
    due_at = at if paid.card is not None else at + _RECEIPTS_WAIT_FOR_A_CARD
    async with pool.transaction() as conn:
        await store.hold_person(conn, paid.account, paid.user)
        receipt = Receipt.of(paid)
        await store.add_delivery(conn, receipt, id=new_id(), account=paid.account, user=paid.user, at=at, due_at=due_at)
        failpoints.reach("notifications.receipt.before_commit")


async def learn_card(pool: Pool, learned: PaymentCardLearned, *, at: datetime) -> None:
    """Put the card into a receipt that nobody has tried to send yet; each try sends the same mail."""
    receipt = Receipt.key_of(learned.purchase)
    async with pool.transaction() as conn:
        await store.hold_person(conn, learned.account, learned.user)
        await store.complete(conn, Receipt.template, receipt, {"card": learned.card.model_dump(mode="json")})
        await store.bring_forward(conn, Receipt.template, receipt, at=at)


async def record_refund_notice(pool: Pool, event: PaymentRefunded, *, at: datetime) -> None:
    """Record the notice of a refund: once per revision, of the money that is new in it, none for what is older."""
    async with pool.transaction() as conn:
        await store.hold_person(conn, event.account, event.user)
        new = await store.tell_refund(
            conn, event.purchase, revision=event.revision, total_minor=event.refunded.amount_minor
        )
        if new is not None and new > 0:
            await store.bring_forward(conn, Receipt.template, Receipt.key_of(event.purchase), at=at)
            notice = RefundNotice.of(event, amount_minor=new)
            await store.add_delivery(conn, notice, id=new_id(), account=event.account, user=event.user, at=at)
        failpoints.reach("notifications.refund.before_commit")


async def record_gift_card(pool: Pool, event: GiftCardIssued, *, at: datetime) -> None:
    """Record the mail that brings somebody a gift card, once; its code stays sealed until it is written."""
    recipient = Recipient(event.recipient_email, event.recipient_name)
    async with pool.transaction() as conn:
        mail = GiftCardMail.of(event)
        await store.add_delivery(
            conn, mail, id=new_id(), account=event.account, user=event.user, at=at, recipient=recipient
        )
        failpoints.reach("notifications.gift_card.before_commit")


async def deliver_due(
    pool: Pool, *, mailer: Mailer, templates: Templates, seal: Seal, clock: Clock, lease: timedelta
) -> int:
    """Send what is due, one mail after another; returns how many it settled. Ends early if the server is away.

    Each is claimed, sent, recorded: three steps, no network call inside a transaction, hence one window in which a
    mail may go twice. If we die, or outlive our lease, after the server took the mail and before that is recorded, the
    next try sends it again, byte for byte and with the same Message-ID, by which mail systems recognise it.
    """
    for settled in range(_MAILS_A_PASS):
        now = clock.now()
        async with pool.connection() as conn:
            due = await store.claim_due(conn, now=now, until=now + lease)
        if due is None:
            return settled
        try:
            await _deliver(pool, due, mailer=mailer, templates=templates, seal=seal, clock=clock)
        except MailServerAwayError:
            return settled
    return _MAILS_A_PASS


async def _deliver(pool: Pool, due: Due, *, mailer: Mailer, templates: Templates, seal: Seal, clock: Clock) -> None:
    """Try once and record what came of it. Raises MailServerAwayError, after recording that too."""
    try:
        failpoints.reach("notifications.deliver.before_send")
        await mailer.send(_mail(due, templates, seal))
        failpoints.reach("notifications.deliver.after_send")
    except MailRefusedError as error:
        await _give_up(pool, due, error, at=clock.now())
    except MailDelayedError as error:
        await _try_later(pool, due, error, at=clock.now())
    except MailServerAwayError as error:
        await _try_later(pool, due, error, at=clock.now())
        raise
    except Exception as error:
        log.exception("mail.bug", delivery=show("message", due.id), template=due.template)
        await _try_later(pool, due, error, at=clock.now())
    else:
        async with pool.connection() as conn:
            await store.mark_sent(conn, due, at=clock.now())
        _tell(due, "sent")


def _mail(due: Due, templates: Templates, seal: Seal) -> Mail:
    message = read_message(due.template, due.facts)
    code = seal.open(message.sealed_code) if isinstance(message, GiftCardMail) else None
    content = templates.render(message, name=due.name, code=code)
    return Mail(
        id=due.id,
        to_address=due.email,
        to_name=content.name,
        subject=content.subject,
        text=content.text,
        html=content.html,
        written_at=due.recorded_at,
    )


async def _try_later(pool: Pool, due: Due, error: Exception, *, at: datetime) -> None:
    again = next_try(due.attempts, at=at)
    if again is None:
        await _give_up(pool, due, error, at=at)
        return
    async with pool.connection() as conn:
        await store.put_off(conn, due, until=again, error=str(error))
    _tell(due, "delayed", error)


async def _give_up(pool: Pool, due: Due, error: Exception, *, at: datetime) -> None:
    async with pool.connection() as conn:
        await store.give_up(conn, due, at=at, error=str(error))
    _tell(due, "failed", error)


def _tell(due: Due, outcome: str, error: Exception | None = None) -> None:
    MAILS.labels(due.template, outcome).inc()
    log.info(
        "mail.tried",
        outcome=outcome,
        delivery=show("message", due.id),
        template=due.template,
        attempts=due.attempts,
        error=type(error).__name__ if error else None,
    )


async def list_deliveries(pool: Pool, account: UUID, *, before: UUID | None, limit: int) -> Page[Delivery]:
    """List what an account's people were told, newest first; `before` is the last id of the page before."""
    async with pool.connection() as conn:
        rows = await store.deliveries_of(conn, account, before=before, limit=limit + 1)
    shown = [Delivery.model_validate({**row, "account": row["account_id"], "user": row["user_id"]}) for row in rows]
    more = len(shown) > limit
    return Page(data=shown[:limit], next_cursor=show("message", shown[limit - 1].id) if more else None)


async def prune(pool: Pool, *, now: datetime, keep_deliveries: timedelta) -> int:
    """Forget what has been kept long enough; returns how many rows that was."""
    async with pool.transaction() as conn:
        return await store.prune_deliveries(conn, before=now - keep_deliveries)
