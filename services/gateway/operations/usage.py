"""Usage events: handed to the broker, and accepted once it has them all."""

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from libs.chassis.broker.producer import Message, Producer
from libs.chassis.errors import UnavailableError
from libs.contracts.topics import USAGE_EVENTS
from services.gateway.domain.usage import UsageReport

_PATIENCE_SECONDS = 10.0


async def publish(producer: Producer, reports: Sequence[UsageReport]) -> int:
    """Publish events, keyed by account; returns how many once all replicas have them.

    Raises UnavailableError if the broker has not said so: some may have arrived, and a repetition is harmless, since
    credits counts an event's (source, id) once.
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await producer.publish((USAGE_EVENTS.name, Message(each.key, each.payload)) for each in reports)
    except (KafkaError, TimeoutError, OSError) as error:
        raise UnavailableError("the broker does not take events now; send them all again") from error
    return len(reports)
