"""The pages that people see: where Checkout is paid, where a bank asks, what the books hold."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel

from deploy.stripe_sandbox import money
from deploy.stripe_sandbox.books import books
from deploy.stripe_sandbox.checkout_payment import Payer, answer_challenge, pay
from deploy.stripe_sandbox.control import TheSandbox
from deploy.stripe_sandbox.errors import CardRefusedError, InvalidRequestError, Object
from deploy.stripe_sandbox.sandbox import Sandbox

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parent / "templates")
templates.env.filters["money"] = money.shown

Page = HTMLResponse | RedirectResponse

SHOWN_AT_ONCE = 50
NUMBERS = {"decline": "4000000000000002", "authenticate": "4000002760003184", "bank": None}
"""What the page's short cuts pay with; `pay` takes the number that was typed in."""


class PaymentForm(BaseModel):
    """What the Checkout page sends."""

    action: Literal["pay", "decline", "authenticate", "bank", "abandon"] = "pay"
    number: str = "4242424242424242"
    email: str = "payer@example.com"
    name: str = "Pat Payer"
    promotion_code: str = ""


class BankForm(BaseModel):
    """What the bank's page sends."""

    outcome: Literal["pass", "fail"]


@router.get("/", response_class=HTMLResponse)
async def show_index(request: Request, sandbox: TheSandbox) -> HTMLResponse:
    """Show the books, what is open, and the last events."""
    sessions = (each for each in sandbox.records.newest_first("checkout.session") if each["status"] == "open")
    events = islice(sandbox.records.newest_first("event"), SHOWN_AT_ONCE)
    shown = {
        "books": books(sandbox.records),
        "sessions": list(islice(sessions, SHOWN_AT_ONCE)),
        "events": [_with_deliveries(sandbox, event) for event in events],
    }
    return templates.TemplateResponse(request, "index.html", shown)


@router.get("/c/pay/{session}", response_class=HTMLResponse)
async def show_checkout(request: Request, sandbox: TheSandbox, session: str) -> HTMLResponse:
    """Show what is to be paid, and the form that pays it."""
    return _checkout(request, _session(sandbox, session), "")


@router.post("/c/pay/{session}", response_model=None)
async def submit_checkout(
    request: Request, sandbox: TheSandbox, session: str, form: Annotated[PaymentForm, Form()]
) -> Page:
    """Pay, or fail to, or leave; then lead the browser on as Stripe would."""
    found = _session(sandbox, session)
    if form.action == "abandon":
        return _see_other(found["cancel_url"] or sandbox.base_url)
    if found["status"] != "open":
        return _checkout(request, found, "")
    payer = Payer(form.email, form.name, NUMBERS.get(form.action, form.number), form.promotion_code)
    try:
        with sandbox.change() as call:
            intent = pay(call, found, payer)
    except (CardRefusedError, InvalidRequestError) as problem:
        return _checkout(request, found, str(problem), status=402)
    return _after_payment(request, sandbox, session, intent)


@router.get("/c/authenticate/{intent}", response_class=HTMLResponse)
async def show_challenge(request: Request, sandbox: TheSandbox, intent: str, client_secret: str) -> HTMLResponse:
    """Show the bank's question."""
    return templates.TemplateResponse(request, "challenge.html", {"intent": _intent(sandbox, intent, client_secret)})


@router.post("/c/authenticate/{intent}", response_model=None)
async def answer_bank(
    request: Request, sandbox: TheSandbox, intent: str, client_secret: str, form: Annotated[BankForm, Form()]
) -> Page:
    """Pass or fail the bank's question, then go back to where the payment came from."""
    found = _intent(sandbox, intent, client_secret)
    if found["status"] != "requires_action":
        raise HTTPException(409, "Nothing waits for authentication here.")
    with sandbox.change() as call:
        after = answer_challenge(call, found, passed=form.outcome == "pass")
    if "_session" in after:
        return _after_payment(request, sandbox, after["_session"], after)
    if found["_return_url"] is None:
        return templates.TemplateResponse(
            request, "message.html", {"title": "Done", "text": "You may close this page."}
        )
    return _see_other(_return_url(found["_return_url"], after))


@router.get("/receipts/{charge}", response_class=HTMLResponse)
async def show_receipt(request: Request, sandbox: TheSandbox, charge: str) -> HTMLResponse:
    """Show Stripe's own receipt of a charge, which is not the one that a shop sends."""
    found = sandbox.records.get("charge", charge)
    if found is None:
        raise HTTPException(404, "No such charge.")
    return templates.TemplateResponse(request, "receipt.html", {"charge": found})


def _session(sandbox: Sandbox, name: str) -> Object:
    session = sandbox.records.get("checkout.session", name)
    if session is None:
        raise HTTPException(404, "No such Checkout session.")
    return session


def _intent(sandbox: Sandbox, name: str, client_secret: str) -> Object:
    intent = sandbox.records.get("payment_intent", name) or sandbox.records.get("setup_intent", name)
    if intent is None or intent["client_secret"] != client_secret:
        raise HTTPException(404, "No such intent.")
    return intent


def _checkout(request: Request, session: Object, problem: str, status: int = 200) -> HTMLResponse:
    shown = {"session": session, "lines": session["_line_items"], "problem": problem}
    return templates.TemplateResponse(request, "checkout.html", shown, status_code=status)


def _after_payment(request: Request, sandbox: Sandbox, session: str, intent: Object) -> Page:
    found = _session(sandbox, session)
    if intent["status"] == "requires_action":
        action = intent["next_action"]
        return _see_other(action["redirect_to_url"]["url"])
    if found["status"] == "complete":
        return _see_other(found["success_url"].replace("{CHECKOUT_SESSION_ID}", session))
    error = intent["last_payment_error" if intent["object"] == "payment_intent" else "last_setup_error"]
    return _checkout(request, found, error["message"], status=402)


def _return_url(url: str, intent: Object) -> str:
    parts = urlsplit(url)
    kind = intent["object"]
    told = [
        (kind, intent["id"]),
        (f"{kind}_client_secret", intent["client_secret"]),
        ("redirect_status", "succeeded" if intent["status"] == "succeeded" else "failed"),
    ]
    return urlunsplit(parts._replace(query=urlencode(parse_qsl(parts.query) + told)))


def _with_deliveries(sandbox: Sandbox, event: Object) -> Object:
    found = (sandbox.records.get("sandbox.delivery", name) for name in event["_deliveries"])
    return {**event, "deliveries": [delivery for delivery in found if delivery]}


def _see_other(url: str) -> RedirectResponse:
    return RedirectResponse(url, status_code=303)
