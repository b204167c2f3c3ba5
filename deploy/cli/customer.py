"""A customer, as the demonstration and the end-to-end tests play him: at the gateway, and in the browser at Stripe."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

import httpx2

from libs.contracts import ids
from libs.contracts.http.base import IDEMPOTENCY_KEY_HEADER, Page
from libs.contracts.http.credits_v1 import Balance, Transaction
from libs.contracts.http.gateway_v1 import ApiKey, Session
from libs.contracts.http.payment_methods_v1 import CardSetup, PaymentMethod
from libs.contracts.http.payments_v1 import Packs, Purchase, Refund
from libs.contracts.http.vouchers_v1 import GiftCard, Redemption

_LOOK_EVERY_SECONDS = 0.02
T = TypeVar("T")


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """The gateway answered with a problem."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem.get('code')} {problem.get('detail')}")
        self.problem = problem
        self.code: str = problem.get("code", "")


class Customer:
    """Speaks to the gateway as a frontend does; `pay` and `pay_page` do what the browser does at Stripe."""

    def __init__(self, http: httpx2.AsyncClient, session: Session, *, stripe: str, publishable_key: str) -> None:
        self._http = http
        self._stripe = stripe
        self._publishable_key = publishable_key
        self.session = session
        self.account = session.user.account

    @classmethod
    async def sign_up(
        cls, http: httpx2.AsyncClient, *, email: str, name: str, stripe: str, publishable_key: str = "pk_test_sandbox"
    ) -> "Customer":
        """Register; `http` speaks to the gateway."""
        body = {"email": email, "password": "correct horse battery", "name": name}
        answer = await http.post("/v1/auth/register", json=body)
        session = Session.model_validate_json(good(answer))
        return cls(http, session, stripe=stripe, publishable_key=publishable_key)

    async def packs(self) -> Packs:
        """List what is on offer."""
        return Packs.model_validate_json(good(await self._http.get("/v1/packs")))

    async def buy(self, pack: str | None = None, *, key: str | None = None, **order: Any) -> Purchase:
        """Start a purchase. Raises Refused."""
        body = ({"pack": pack} if pack else {}) | order
        return Purchase.model_validate_json(await self._post("/v1/purchases", body, key=key))

    async def purchase(self, purchase: Purchase) -> Purchase:
        """Read a purchase again."""
        return Purchase.model_validate_json(await self._get(f"/v1/purchases/{_id(purchase)}"))

    async def refund(self, purchase: Purchase, *, key: str | None = None, **order: Any) -> Refund:
        """Have the money back. Raises Refused."""
        return Refund.model_validate_json(await self._post(f"/v1/purchases/{_id(purchase)}/refunds", order, key=key))

    async def give(self, product: str, *, email: str, key: str | None = None, **order: Any) -> Purchase:
        """Start the purchase of a gift card for somebody. Raises Refused."""
        body = {"product": product, "recipient": {"email": email, "name": "A Friend"}} | order
        return Purchase.model_validate_json(await self._post("/v1/gift-cards", body, key=key))

    async def gift_cards(self) -> list[GiftCard]:
        """List the gift cards that were paid for, newest first."""
        return Page[GiftCard].model_validate_json(await self._get("/v1/gift-cards?limit=100")).data

    async def redeem(self, code: str, *, key: str | None = None) -> Redemption:
        """Redeem the code of a voucher or a gift card. Raises Refused."""
        return Redemption.model_validate_json(await self._post("/v1/vouchers/redeem", {"code": code}, key=key))

    async def save_card(self, card: str = "pm_card_visa") -> CardSetup:
        """Save a card: begin here, and give it to Stripe as Elements do. Raises Refused."""
        setup = CardSetup.model_validate_json(await self._post("/v1/payment-methods", {}))
        await self._at_stripe("setup_intents", setup.client_secret or "", card)
        return setup

    async def confirm_card(self, setup: CardSetup) -> CardSetup:
        """Have Stripe read whether a card is saved. Raises Refused."""
        path = f"/v1/payment-methods/setups/{ids.show('card_setup', setup.id)}/confirm"
        return CardSetup.model_validate_json(await self._post(path, {}))

    async def cards(self) -> list[PaymentMethod]:
        """List the saved cards, the newest first."""
        return Page[PaymentMethod].model_validate_json(await self._get("/v1/payment-methods")).data

    async def remove_card(self, card: PaymentMethod) -> None:
        """Remove a saved card. Raises Refused."""
        path = f"/v1/payment-methods/{ids.show('payment_method', card.id)}"
        good(await self._http.delete(path, headers=self._headers()))

    async def balance(self) -> Balance:
        """Read the balance."""
        return Balance.model_validate_json(await self._get("/v1/balance"))

    async def transactions(self) -> list[Transaction]:
        """Read what moved the balance, newest first."""
        page = await self._http.get("/v1/transactions", params={"limit": 100}, headers=self._headers())
        good(page)
        return [Transaction.model_validate(row) for row in page.json()["data"]]

    async def api_key(self, *scopes: str) -> ApiKey:
        """Make an API key for a service."""
        return ApiKey.model_validate_json(await self._post("/v1/api-keys", {"name": "demo", "scopes": list(scopes)}))

    async def pay(self, purchase: Purchase, card: str = "pm_card_visa") -> dict[str, Any]:
        """Confirm the payment as Stripe's Elements do in the browser; answers Stripe's answer, an error too."""
        return await self._at_stripe("payment_intents", purchase.client_secret or "", card)

    async def pay_page(self, purchase: Purchase, card: str = "4242424242424242") -> httpx2.Response:
        """Fill in and send the hosted payment page; answers where it leads."""
        page = await self._http.get(purchase.checkout_url or "")
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        target = page.url.join(action[1]) if action else page.url
        form = {"email": self.session.user.email, "name": self.session.user.name, "number": card, "action": "pay"}
        return await self._http.post(target, data=form)

    async def wait_until(self, settled: Callable[[Balance], bool], *, seconds: float = 20) -> Balance:
        """Wait until the balance is as expected. Raises TimeoutError, saying what it was."""

        async def found() -> Balance | None:
            balance = await self.balance()
            return balance if settled(balance) else None

        return await wait_for(found, seconds=seconds, otherwise=self.balance)

    async def answer_bank(self, secret: str | None, outcome: str) -> None:
        """Answer what the bank asks, on its page: `pass` or `fail`; the client secret says about what."""
        page = f"{self._stripe}/c/authenticate/{(secret or '').split('_secret_')[0]}"
        await self._http.post(page, params={"client_secret": secret or ""}, data={"outcome": outcome})

    async def _at_stripe(self, intents: str, secret: str, card: str) -> dict[str, Any]:
        form = {"client_secret": secret, "payment_method": card, "return_url": "http://127.0.0.1/done"}
        path = f"{self._stripe}/v1/{intents}/{secret.split('_secret_', maxsplit=1)[0]}/confirm"
        found: dict[str, Any] = (await self._http.post(path, data=form, auth=(self._publishable_key, ""))).json()
        return found

    async def _get(self, path: str) -> bytes:
        return good(await self._http.get(path, headers=self._headers()))

    async def _post(self, path: str, body: dict[str, Any], *, key: str | None = None) -> bytes:
        headers = {**self._headers(), IDEMPOTENCY_KEY_HEADER: key or str(uuid4())}
        return good(await self._http.post(path, json=body, headers=headers))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.session.access_token}"}


async def wait_for(
    look: Callable[[], Awaitable[T | None]],
    *,
    seconds: float = 20,
    otherwise: Callable[[], Awaitable[Any]] | None = None,
) -> T:
    """Look again and again until there is something. Raises TimeoutError, saying what `otherwise` finds."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await look()):  # noqa: ASYNC110 - what we wait for is in other processes
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
            return found
    except TimeoutError:
        instead = await otherwise() if otherwise else "nothing"
        raise TimeoutError(f"not within {seconds:g} s; there is {instead}") from None


def good(answer: httpx2.Response) -> bytes:
    """Take a good answer's body. Raises Refused."""
    if answer.is_success:
        return answer.content
    try:
        raise Refused(answer.json())
    except ValueError:
        raise Refused({"code": str(answer.status_code), "detail": answer.text[:500]}) from None


def _id(purchase: Purchase) -> str:
    return str(purchase.model_dump(mode="json")["id"])
