"""Every Kafka topic, declared once and created from here."""

from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: what its key is, how many partitions it has, how long the broker keeps a record."""

    name: str
    key: str
    partitions: int = 6
    retention_ms: int = 7 * DAY_MS

    @property
    def dead_letters(self) -> "Topic":
        """Where a consumer tells of what it could not handle."""
        return Topic(f"{self.name}.dlq", self.key, partitions=1, retention_ms=30 * DAY_MS)


STRIPE_EVENTS = Topic("scrip.stripe.events.v1", key="Stripe customer or object id")
ACCOUNTS_EVENTS = Topic("scrip.accounts.events.v1", key="account id")
PAYMENTS_EVENTS = Topic("scrip.payments.events.v1", key="account id")
USAGE_EVENTS = Topic("scrip.usage.events.v1", key="account id")
CREDITS_EVENTS = Topic("scrip.credits.events.v1", key="account id")

DECLARED = (STRIPE_EVENTS, ACCOUNTS_EVENTS, PAYMENTS_EVENTS, USAGE_EVENTS, CREDITS_EVENTS)
ALL = (*DECLARED, *(topic.dead_letters for topic in DECLARED))
