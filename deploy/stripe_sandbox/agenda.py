"""What time brings: sessions expire, charges settle, debits and disputes end, refunds fail, old keys are forgotten."""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable

from deploy.stripe_sandbox import charges
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.checkout import expire, follow_intent
from deploy.stripe_sandbox.confirmation import end_debit
from deploy.stripe_sandbox.disputes import OPEN, UNANSWERED, end_unanswered
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.incidents import bring_aftermath, judge
from deploy.stripe_sandbox.refunds import end_refund
from deploy.stripe_sandbox.sandbox import Sandbox
from deploy.stripe_sandbox.scenarios import do_due_steps

LOOKS_EVERY_S = 0.05
DONE_AT_ONCE = 50
PRUNES_EVERY_S = 60.0

log = logging.getLogger(__name__)


def _settle_charge(call: Call, name: str) -> None:
    charges.settle(call, name)


def _expire_session(call: Call, name: str) -> None:
    session = call.records.get("checkout.session", name)
    if session and session["status"] == "open":
        expire(call, session)


def _end_debit(call: Call, name: str) -> None:
    intent = call.records.get("payment_intent", name)
    if intent and intent["status"] == "processing":
        method = call.named("payment_method", intent["payment_method"], "payment_method")
        follow_intent(call, end_debit(call, intent, succeeded=method["_debit"] == "success"))


def _bring_aftermath(call: Call, name: str) -> None:
    bring_aftermath(call, call.named("charge", name, "charge"))


def _judge_dispute(call: Call, name: str) -> None:
    dispute = call.named("dispute", name, "dispute")
    if dispute["status"] in OPEN:
        judge(call, dispute)


def _dispute_unanswered(call: Call, name: str) -> None:
    dispute = call.named("dispute", name, "dispute")
    if dispute["status"] in UNANSWERED and dispute["evidence_details"]["due_by"] <= call.now:
        end_unanswered(call, dispute)


def _end_refund(call: Call, name: str) -> None:
    refund = call.named("refund", name, "refund")
    if refund["status"] in ("pending", "succeeded"):
        end_refund(call, refund)


TASKS: dict[str, Callable[[Call, str], None]] = {
    "settle_charge": _settle_charge,
    "expire_session": _expire_session,
    "end_debit": _end_debit,
    "bring_aftermath": _bring_aftermath,
    "judge_dispute": _judge_dispute,
    "dispute_unanswered": _dispute_unanswered,
    "end_refund": _end_refund,
}


class Agenda:
    """The tasks that records of kind sandbox.due ask for, done as the sandbox's clock reaches them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._prunes_at = time.monotonic() + PRUNES_EVERY_S

    async def run(self) -> None:
        """Keep looking until cancelled."""
        while True:
            try:
                busy = self.do_due() == DONE_AT_ONCE
                do_due_steps(self._sandbox)
            except Exception:
                log.exception("a task of the agenda failed and was dropped")
                busy = True
            self._prune_keys()
            await asyncio.sleep(0 if busy else LOOKS_EVERY_S)

    def do_due(self) -> int:
        """Do some of what is due by now; says how much."""
        due, now = self._sandbox.due, self._sandbox.clock.time()
        done = 0
        while due and due[0][0] <= now and done < DONE_AT_ONCE:
            _, name = heapq.heappop(due)
            self._do(name)
            done += 1
        return done

    def _do(self, name: str) -> None:
        due: Object = self._sandbox.records.get("sandbox.due", name) or {}
        try:
            with self._sandbox.change() as call:
                TASKS[due["task"]](call, due["subject"])
                call.records.remove("sandbox.due", name)
        except Exception:
            with self._sandbox.change() as call:
                call.records.remove("sandbox.due", name)
            raise

    def _prune_keys(self) -> None:
        if time.monotonic() < self._prunes_at:
            return
        self._prunes_at = time.monotonic() + PRUNES_EVERY_S
        with self._sandbox.change() as call:
            self._sandbox.keys.prune(call.now)
