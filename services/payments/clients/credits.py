"""The credits service: whether an account may buy so much."""

from uuid import UUID

from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.http.limits_v1 import PurchaseAllowed, PurchaseCheck


class CreditsClient:
    """Asks credits. Every call raises RemoteError, or UnavailableError if credits does not answer."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def check_purchase(self, account: UUID, credits: int, *, caller: str) -> None:
        """See that an account may buy so many credits, a bonus included. Raises RemoteError, PAY006, if not."""
        path = f"/accounts/{ids.show('account', account)}/purchase-check"
        asked = PurchaseCheck.model_validate({"credits": format_credits(credits)})
        await self._service.post(path, asked, PurchaseAllowed, caller=caller)
