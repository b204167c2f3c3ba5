"""Scenarios: what befalls payments and webhooks, written down beforehand, and the same at every run by its seed."""

import logging
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from fastapi import APIRouter, HTTPException
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.control import Body, TheSandbox
from deploy.stripe_sandbox.disputes import OPEN, Outcome
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.incidents import (
    FailureReason,
    NewDispute,
    NewWarning,
    dispute_if_possible,
    end_if_possible,
    fail_if_possible,
    refund_if_possible,
    warn_if_possible,
)
from deploy.stripe_sandbox.sandbox import Sandbox
from deploy.stripe_sandbox.webhook_faults import WebhookSwitches

log = logging.getLogger(__name__)

KIND = "sandbox.scenario"
COMMAND_LINE_SCENARIO = "scn_command_line"

router = APIRouter(prefix="/sandbox/scenarios", tags=["sandbox"])


class When(Body):
    """When a step is due: after so many payments, or so long after the scenario began by the sandbox's clock."""

    after_payments: int | None = Field(None, ge=1)
    at_s: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def is_one_or_the_other(self) -> Self:
        """Refuse a step that is never due, or due twice."""
        if (self.after_payments is None) == (self.at_s is None):
            raise ValueError("give either after_payments or at_s")
        return self


class Dispute(When, NewDispute):
    """A payment is disputed."""

    do: Literal["dispute"]


class EndDispute(When):
    """The oldest dispute that is open ends."""

    do: Literal["end_dispute"]
    outcome: Outcome


class Refund(When):
    """A payment is refunded at the dashboard, whole or in part."""

    do: Literal["refund"]
    amount: int | None = Field(None, gt=0)


class FailRefund(When):
    """The oldest refund that has succeeded fails."""

    do: Literal["fail_refund"]
    failure_reason: FailureReason = "expired_or_canceled_card"


class Warn(When, NewWarning):
    """A payment's issuer suspects fraud."""

    do: Literal["warn"]


class Webhooks(When):
    """Webhooks go wrong so, or go well again."""

    do: Literal["webhooks"]
    webhooks: WebhookSwitches


Step = Annotated[Dispute | EndDispute | Refund | FailRefund | Warn | Webhooks, Field(discriminator="do")]
STEPS: TypeAdapter[Step] = TypeAdapter(Step)


class Scenario(Body):
    """Steps, each done once; the seed says which payments they befall."""

    seed: int = 0
    steps: list[Step] = Field(min_length=1, max_length=1000)


@router.post("")
async def begin_scenario(sandbox: TheSandbox, scenario: Scenario) -> Object:
    """Begin a scenario now; its payments are those made from now on."""
    return begin(sandbox, scenario, new_id("scn"))


@router.get("")
async def show_scenarios(sandbox: TheSandbox) -> dict[str, Any]:
    """Give every scenario with when each step was done, and to what."""
    return {"data": list(sandbox.records.oldest_first(KIND))}


def begin_from_file(sandbox: Sandbox, path: Path) -> None:
    """Begin the scenario of a YAML or JSON file, unless an earlier run of this sandbox began it."""
    try:
        scenario = Scenario.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise SystemExit(f"{path} is no scenario: {error}") from error
    if sandbox.records.get(KIND, COMMAND_LINE_SCENARIO) is None:
        begin(sandbox, scenario, COMMAND_LINE_SCENARIO)


def begin(sandbox: Sandbox, scenario: Scenario, name: str) -> Object:
    """Record that a scenario begins."""
    last = next(sandbox.records.newest_first("charge"), None)
    with sandbox.change() as call:
        return call.put(
            {
                "object": KIND,
                "id": name,
                "seed": scenario.seed,
                "began": sandbox.clock.time(),
                "after": last["id"] if last else None,
                "steps": [step.model_dump(mode="json", exclude_defaults=True) for step in scenario.steps],
                "done": [None] * len(scenario.steps),
            }
        )


def do_due_steps(sandbox: Sandbox) -> None:
    """Do what the scenarios have for now."""
    for scenario in list(sandbox.records.oldest_first(KIND)):
        for place, done in enumerate(scenario["done"]):
            if done is None:
                _do_if_due(sandbox, scenario["id"], place)


def _do_if_due(sandbox: Sandbox, name: str, place: int) -> None:
    scenario: Object = sandbox.records.get(KIND, name) or {}
    step = STEPS.validate_python(scenario["steps"][place])
    paid = _due_payments(sandbox, scenario, step)
    if paid is None:
        return
    draw = random.Random(f"{scenario['seed']}:{place}")  # noqa: S311 - chance that a seed repeats, not secrecy
    try:
        with sandbox.change() as call:
            _note(call, scenario, place, _befall(sandbox, call, step, _untouched(paid, draw)))
    except Exception:
        log.exception("a step of a scenario failed and was dropped")
        with sandbox.change() as call:
            _note(call, scenario, place, None)


def _note(call: Call, scenario: Object, place: int, befell: str | None) -> None:
    done = list(scenario["done"])
    done[place] = {"at": call.now, "befell": befell}
    call.put(scenario, done=done)


def _due_payments(sandbox: Sandbox, scenario: Object, step: Step) -> list[Object] | None:
    """Give the charges that a step may befall, oldest first; None while it is not due."""
    charges = sandbox.records.oldest_first("charge", newer_than=scenario["after"])
    paid = (charge for charge in charges if charge["status"] == "succeeded")
    if step.after_payments is None:
        due = sandbox.clock.time() >= scenario["began"] + (step.at_s or 0)
        return list(paid) if due else None
    first = list(islice(paid, step.after_payments))
    return first if len(first) == step.after_payments else None


def _untouched(paid: list[Object], draw: random.Random) -> Iterator[str]:
    """Give the card payments that nothing has befallen yet, in the order in which they are drawn."""
    whole = [
        charge["id"]
        for charge in paid
        if charge["payment_method_details"]["type"] == "card"
        and not charge["disputed"]
        and charge["amount_refunded"] == 0
    ]
    draw.shuffle(whole)
    return iter(whole)


def _befall(sandbox: Sandbox, call: Call, step: Step, untouched: Iterator[str]) -> str | None:
    """Do a step, and name what came of it; None if there was nothing that it could befall."""
    try:
        match step:
            case Webhooks():
                sandbox.dispatcher.switch(step.webhooks)
                return "webhooks"
            case Dispute():
                done = dispute_if_possible(call, next(untouched, ""), step)
            case Warn():
                done = warn_if_possible(call, next(untouched, ""), step)
            case Refund():
                done = refund_if_possible(call, next(untouched, ""), step.amount)
            case EndDispute():
                done = end_if_possible(call, _oldest(call, "dispute", OPEN), step.outcome)
            case FailRefund():
                done = fail_if_possible(call, _oldest(call, "refund", ("succeeded",)), step.failure_reason)
    except HTTPException:
        return None
    return str(done["id"])


def _oldest(call: Call, kind: str, states: tuple[str, ...]) -> str:
    found = (item["id"] for item in call.records.oldest_first(kind) if item["status"] in states)
    return next(found, "")
