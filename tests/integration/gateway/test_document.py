"""What a running gateway says of its API."""

import json

from deploy.generate.documents import REFERENCE
from tests.integration.gateway.gateways import Gateway


async def test_a_running_gateway_serves_the_document_that_is_published(gateway: Gateway) -> None:
    """Also though it takes webhooks at a further path, as this one does: that is nobody's business."""
    served = (await gateway.http.get("/openapi.json")).json()
    assert served == json.loads((REFERENCE / "openapi-gateway.json").read_text("utf-8"))
