"""The local stack's webhook endpoint is subscribed to what payments takes up, and to nothing else."""

from deploy.embedded.stack import WEBHOOK_EVENTS
from services.payments.operations.stripe_events import TAKEN_UP


def test_the_endpoint_is_sent_every_type_that_payments_takes_up() -> None:
    assert sorted(WEBHOOK_EVENTS) == sorted(TAKEN_UP)
