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
    details = {
        "amount": fee,
        "application": None,
        "currency": charge["currency"],
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
    return _entered(
        call, charge, charge["amount"], fee=fee, fee_details=[details], available_on=call.now + PENDING_S, type="charge"
    )


def of_refund(call: Call, refund: Object) -> Object:
    """Enter a refund: its amount out, no fee, none given back."""
    return _entered(call, refund, -refund["amount"], type="refund")


def _entered(call: Call, source: Object, amount: int, *, fee: int = 0, **given: object) -> Object:
    return call.put(
        shapes.balance_transaction(
            new_id("txn"),
            created=call.now,
            amount=amount,
            currency=source["currency"],
            description=source.get("description"),
            fee=fee,
            net=amount - fee,
            source=source["id"],
            reporting_category=source["object"],
            **given,
        )
    )


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
        shape=lambda entry: _as_of_now(call, entry),
    )


@routes.get("/v1/balance_transactions/{id}")
def retrieve_balance_transaction(call: Call, _params: Params, id: str) -> Object:
    """Give a balance transaction."""
    return _as_of_now(call, call.find("balance_transaction", id))


def _as_of_now(call: Call, entry: Object) -> Object:
    return {**entry, "status": "available" if entry["available_on"] <= call.now else "pending"}
