"""The client that spends: estimates, holds and leases for jobs, through the gateway with an API key."""

from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from ..events.usage_v1 import PropertyValue
from ..http.leases_v1 import NewLease
from ..http.spending_v1 import Estimate, NewEstimate, NewHold
from ..ids import new_id
from .extra import needs_the_extra
from .orders import account_named, order_of, written
from .refusals import InvalidOrderError

if TYPE_CHECKING:
    from .holds import ActiveHold
    from .leases import ActiveLease

Amount = Decimal | str


class CreditsClient:
    """Spends credits; used as a context manager. The API key needs the scope `holds:write`, to ask any that spends.

    A key acts on its own account; with the scope `admin` on any. What is asked is asked again for `patience_seconds`
    while the gateway does not answer, under the same idempotency key, so it is done once. Credits are given as decimal
    strings or Decimals; what is answered are the contracts' models, with micro-credits.
    """

    def __init__(self, base_url: str, api_key: str, *, patience_seconds: float = 30.0) -> None:
        with needs_the_extra():
            from .gateway import Gateway  # noqa: PLC0415 - who only reads events needs no HTTP

        self._gateway = Gateway(base_url, api_key, patience_seconds=patience_seconds)

    async def __aenter__(self) -> Self:
        """Open; nothing is sent yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._gateway.close()

    async def estimate(
        self,
        account: UUID | str,
        *,
        amount: Amount | None = None,
        meter: str | None = None,
        quantity: Decimal | int | str | None = None,
        properties: Mapping[str, PropertyValue] | None = None,
    ) -> Estimate:
        """Ask what an amount or a usage costs, by which rules, and whether it could be spent now. Nothing happens.

        Raises InvalidOrderError, CreditsUnavailableError, and a refusal for what has no price.
        """
        order = _priced(account, amount=amount, meter=meter, quantity=quantity, properties=properties)
        return await self._gateway.post("/v1/estimates", order_of(NewEstimate, **order), Estimate, key=str(new_id()))

    async def can_afford(
        self,
        account: UUID | str,
        *,
        amount: Amount | None = None,
        meter: str | None = None,
        quantity: Decimal | int | str | None = None,
        properties: Mapping[str, PropertyValue] | None = None,
    ) -> bool:
        """Ask whether an account could spend this now. Only a hold keeps it so. Raises as `estimate` does."""
        estimate = await self.estimate(account, amount=amount, meter=meter, quantity=quantity, properties=properties)
        return estimate.affordable

    def hold(
        self,
        account: UUID | str,
        *,
        amount: Amount | None = None,
        meter: str | None = None,
        quantity: Decimal | int | str | None = None,
        properties: Mapping[str, PropertyValue] | None = None,
        reference: tuple[str, str] | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
    ) -> "ActiveHold":
        """Reserve an amount, or what a usage costs, while a block runs: `async with credits.hold(...) as hold`.

        `reference` is a type and an id of the caller's own, such as `("render", "job-17")`. `expires_in` are the
        seconds after which the credits are free again if this process dies; the catalogue's if it is not given. Raises
        InvalidOrderError; what entering the block raises is told there.
        """
        from .holds import ActiveHold  # noqa: PLC0415 - as above

        order = order_of(
            NewHold,
            **_priced(account, amount=amount, meter=meter, quantity=quantity, properties=properties),
            reference={"type": reference[0], "id": reference[1]} if reference else None,
            description=description,
            metadata=dict(metadata or {}),
            expires_in=expires_in,
        )
        key = idempotency_key or str(new_id())
        return ActiveHold(self._gateway, order, account=account_named(account), key=key)

    def lease(
        self,
        account: UUID | str,
        *,
        meter: str,
        reserve: Amount,
        properties: Mapping[str, PropertyValue] | None = None,
        heartbeat_seconds: int = 30,
        reference: tuple[str, str] | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> "ActiveLease":
        """Do work whose cost is not known before, settled as it goes on: `async with credits.lease(...) as lease`.

        `reserve` is what it may cost until the next heartbeat. If this process dies, what it told last is settled, and
        the rest is free after `heartbeat_seconds`. Raises InvalidOrderError; what entering the block raises is told
        there.
        """
        from .leases import ActiveLease  # noqa: PLC0415 - as above

        order = order_of(
            NewLease,
            account=account_named(account),
            meter=meter,
            reserve=written(reserve),
            properties=dict(properties or {}),
            heartbeat_seconds=heartbeat_seconds,
            reference={"type": reference[0], "id": reference[1]} if reference else None,
            description=description,
            metadata=dict(metadata or {}),
        )
        key = idempotency_key or str(new_id())
        return ActiveLease(self._gateway, order, account=account_named(account), key=key)


def _priced(
    account: UUID | str,
    *,
    amount: Amount | None,
    meter: str | None,
    quantity: Decimal | int | str | None,
    properties: Mapping[str, PropertyValue] | None,
) -> dict[str, Any]:
    if isinstance(quantity, float):
        raise InvalidOrderError(f'quantity: {quantity!r} is not exact; give an int, a Decimal or a string, as "4.2"')
    return {
        "account": account_named(account),
        "amount": written(amount),
        "meter": meter,
        "quantity": quantity,
        "properties": dict(properties or {}),
    }
