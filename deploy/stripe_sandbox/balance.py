"""Balance transactions: what each charge and refund did to the account's balance, fees included."""

from datetime import timedelta

from deploy.stripe_sandbox import money, shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import Created, Currency, Params, Text
from deploy.stripe_sandbox.routes import Routes

PENDING_S = int(timedelta(days=2).total_seconds())
"""How long the money of a charge is on its way."""

routes = Routes()


class BalanceTransactionList(ListParams):
    """What a list of balance transactions can be narrowed by."""

    created: Created | None = None
    currency: Currency | None = None
    source: Text | None = None
    type: Text | None = None


def of_charge(call: Call, charge: Object) -> Object:
    """Enter a charge: its amount less Stripe's fee, available after two days."""
    fee = money.fee(charge["amount"])
    details = _fee(fee, charge["currency"], "Stripe processing fees")
    return _entered(
        call, charge, charge["amount"], fee=fee, fee_details=[details], available_on=call.now + PENDING_S, type="charge"
    )


def of_refund(call: Call, refund: Object) -> Object:
    """Enter a refund: its amount out, no fee, none given back."""
    return _entered(call, refund, -refund["amount"], type="refund")


def of_failed_refund(call: Call, refund: Object) -> Object:
    """Enter a refund that did not arrive: its amount back in."""
    return _entered(call, refund, refund["amount"], type="refund_failure", reporting_category="refund_failure")


def of_dispute(call: Call, dispute: Object) -> Object:
    """Enter what a bank takes back: the disputed amount, and Stripe's fee for it."""
    return _entered(
        call,
        dispute,
        -dispute["amount"],
        fee=money.DISPUTE_FEE,
        fee_details=[_fee(money.DISPUTE_FEE, dispute["currency"], "Dispute fee")],
        description=f"Chargeback withdrawal for {dispute['charge']}",
        reporting_category="dispute",
        type="adjustment",
    )


def of_dispute_won(call: Call, dispute: Object) -> Object:
    """Enter what a bank gives back: the disputed amount without the fee."""
    return _entered(
        call,
        dispute,
        dispute["amount"],
        description=f"Chargeback reversal for {dispute['charge']}",
        reporting_category="dispute_reversal",
        type="adjustment",
    )


def _fee(amount: int, currency: str, description: str) -> Object:
    return {
        "amount": amount,
        "application": None,
        "currency": currency,
        "description": description,
        "type": "stripe_fee",
    }


def _entered(call: Call, source: Object, amount: int, *, fee: int = 0, **given: object) -> Object:
    entry = shapes.balance_transaction(
        new_id("txn"),
        created=call.now,
        amount=amount,
        currency=source["currency"],
        fee=fee,
        net=amount - fee,
        source=source["id"],
        **{"description": source.get("description"), "reporting_category": source["object"], **given},
    )
    return call.put(as_of_now(call, entry))


@routes.get("/v1/balance_transactions")
def list_balance_transactions(call: Call, params: BalanceTransactionList) -> Object:
    """List balance transactions."""

    def wanted(entry: Object) -> bool:
        return (
            params.currency in (None, entry["currency"])
            and params.source in (None, entry["source"])
            and params.type in (None, entry["type"])
            and (params.created is None or params.created.holds(entry["created"]))
        )

    return page(
        call,
        "balance_transaction",
        params,
        where=wanted,
        url="/v1/balance_transactions",
    )


@routes.get("/v1/balance_transactions/{id}")
def retrieve_balance_transaction(call: Call, _params: Params, id: str) -> Object:
    """Give a balance transaction."""
    return call.find("balance_transaction", id)


def as_of_now(call: Call, entry: Object) -> Object:
    """Give a balance transaction with whether its money has arrived."""
    return {**entry, "status": "available" if entry["available_on"] <= call.now else "pending"}
