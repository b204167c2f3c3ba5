"""What we sell, as it stands at Stripe: products, prices, coupons, promotion codes.

Each carries our name for it, and a fingerprint of what of it never changes. By that it is found again in a list, which
is never behind its writes, when an answer was lost, or our own record of it.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.payments.clients.stripe import Stripe
from services.payments.clients.stripe_calls import call, once
from services.payments.domain.catalogue import Counterpart

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Found:
    """An object as Stripe has it."""

    id: str
    shown: Mapping[str, Any]

    def says(self, said: Mapping[str, Any]) -> bool:
        """Tell whether it says so already."""
        return all(self.shown.get(name) == value for name, value in said.items())


class StripeCatalogue:
    """Speaks to Stripe about what is sold. `owner` is Stripe's id of the product of a price, the coupon of a code."""

    def __init__(self, stripe: Stripe) -> None:
        self._stripe = stripe

    @property
    def livemode(self) -> bool:
        """Tell whether what is made is there for real money."""
        return self._stripe.livemode

    async def find(self, each: Counterpart, *, owner: str | None) -> Found | None:
        """Find what stands for something already."""
        async with call(f"{each.kind}s.list", changes=False):
            async for shown in self._listed(each, owner or ""):
                if shown.get("metadata", {}).get("terms") == each.fingerprint:
                    return Found(shown["id"], shown)
        return None

    async def _listed(self, each: Counterpart, owner: str) -> AsyncIterator[Mapping[str, Any]]:
        page: Any
        match each.kind:
            case "product":
                page = await self._stripe.api.products.list_async({"limit": _PAGE})
            case "price":
                page = await self._stripe.api.prices.list_async({"product": owner, "limit": _PAGE})
            case "coupon":
                page = await self._stripe.api.coupons.list_async({"limit": _PAGE})
            case "promotion_code":
                page = await self._stripe.api.promotion_codes.list_async({"coupon": owner, "limit": _PAGE})
        async for found in page.auto_paging_iter():
            yield found.to_dict()

    async def create(self, each: Counterpart, *, owner: str | None) -> str:
        """Make it; returns Stripe's id. Raises StripeRefusedError."""
        given: Any = {**each.fixed, **each.said, "metadata": {"item": each.name, "terms": each.fingerprint}}
        made: Any
        key = once(_key(each, "create"))
        async with call(f"{each.kind}s.create", changes=True):
            match each.kind:
                case "product":
                    made = await self._stripe.api.products.create_async(given, key)
                case "price":
                    given |= {"product": owner, "transfer_lookup_key": True}
                    made = await self._stripe.api.prices.create_async(given, key)
                case "coupon":
                    given["duration"] = "once"
                    made = await self._stripe.api.coupons.create_async(given, key)
                case "promotion_code":
                    given["promotion"] = {"type": "coupon", "coupon": owner}
                    del given["coupon"]
                    made = await self._stripe.api.promotion_codes.create_async(given, key)
        return str(made.id)

    async def change(self, each: Counterpart, stripe_id: str) -> None:
        """Have something be said of it. Raises StripeRefusedError."""
        said: Any = dict(each.said)
        key = once(_key(each, "change"))
        async with call(f"{each.kind}s.update", changes=True):
            match each.kind:
                case "product":
                    await self._stripe.api.products.update_async(stripe_id, said, key)
                case "price":
                    await self._stripe.api.prices.update_async(stripe_id, _with_its_key(said), key)
                case "coupon":
                    await self._stripe.api.coupons.update_async(stripe_id, said, key)
                case "promotion_code":
                    await self._stripe.api.promotion_codes.update_async(stripe_id, said, key)


def _with_its_key(said: dict[str, Any]) -> Any:
    return {**said, "transfer_lookup_key": True} if "lookup_key" in said else said


def _key(each: Counterpart, step: str) -> str:
    return f"catalogue:{each.id.hex}:{each.revision}:{step}"
