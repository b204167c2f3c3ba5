"""The credits service: what an account has, and how it came to that."""

from uuid import UUID

from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.http.base import Page, Request
from libs.contracts.http.credits_v1 import Balance, Lot, Transaction


class CreditsClient:
    """Asks credits about accounts. Every call raises RemoteError, or UnavailableError if credits does not answer."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def open_account(self, account: UUID) -> Balance:
        """Open an account's ledger, with its welcome bonus; a second time changes nothing."""
        return await self._service.put(_path(account), Request(), Balance)

    async def balance(self, account: UUID) -> Balance:
        """Ask for the balance."""
        return await self._service.get(f"{_path(account)}/balance", Balance)

    async def lots(self, account: UUID, *, limit: int, cursor: str | None) -> Page[Lot]:
        """Ask for a page of lots."""
        return await self._service.get(f"{_path(account)}/lots", Page[Lot], params={"limit": limit, "cursor": cursor})

    async def transactions(self, account: UUID, *, limit: int, cursor: str | None) -> Page[Transaction]:
        """Ask for a page of transactions, newest first."""
        return await self._service.get(
            f"{_path(account)}/transactions", Page[Transaction], params={"limit": limit, "cursor": cursor}
        )


def _path(account: UUID) -> str:
    return f"/accounts/{ids.show('account', account)}"
