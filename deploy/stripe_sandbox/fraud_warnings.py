"""Early fraud warnings: a card's issuer suspects a payment, before anybody disputes it."""

from typing import Literal

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.events import emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import Created, Params, Text
from deploy.stripe_sandbox.routes import Routes

routes = Routes()

KIND = "radar.early_fraud_warning"
FraudType = Literal[
    "card_never_received", "fraudulent_card_application", "made_with_counterfeit_card", "made_with_lost_card",
    "made_with_stolen_card", "misc", "unauthorized_use_of_card",
]  # fmt: skip


class WarningList(ListParams):
    """What a list of warnings can be narrowed by."""

    charge: Text | None = None
    created: Created | None = None
    payment_intent: Text | None = None


@routes.get("/v1/radar/early_fraud_warnings")
def list_warnings(call: Call, params: WarningList) -> Object:
    """List warnings."""

    def wanted(warning: Object) -> bool:
        return (
            params.charge in (None, warning["charge"])
            and params.payment_intent in (None, warning["payment_intent"])
            and (params.created is None or params.created.holds(warning["created"]))
        )

    return page(call, KIND, params, where=wanted, url="/v1/radar/early_fraud_warnings")


@routes.get("/v1/radar/early_fraud_warnings/{early_fraud_warning}")
def retrieve_warning(call: Call, _params: Params, early_fraud_warning: str) -> Object:
    """Give a warning."""
    return call.find(KIND, early_fraud_warning)


def warn(call: Call, charge: Object, fraud_type: str) -> Object:
    """Warn of a charge; nothing can be done about one that is refunded whole or disputed already."""
    warning = call.put(
        shapes.early_fraud_warning(
            new_id("issfr"),
            created=call.now,
            actionable=not (charge["refunded"] or charge["disputed"]),
            charge=charge["id"],
            fraud_type=fraud_type,
            payment_intent=charge["payment_intent"],
        )
    )
    emit(call, f"{KIND}.created", warning)
    return warning


def no_longer_actionable(call: Call, charge: Object) -> None:
    """Note that a charge is refunded whole or disputed, so that warnings of it come too late."""
    for warning in list(call.records.newest_first(KIND)):
        if warning["charge"] == charge["id"] and warning["actionable"]:
            after = call.put(warning, actionable=False)
            emit(call, f"{KIND}.updated", after, previous={"actionable": True})
