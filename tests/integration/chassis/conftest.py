from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from deploy.embedded.infrastructure import Infrastructure
from tests.integration.chassis.database import Database
from tests.integration.chassis.kafka import Feed, own_topic
from tests.support.databases import ServicePool


@pytest.fixture
async def database(infrastructure: Infrastructure, service_pool: ServicePool) -> AsyncIterator[Database]:
    """A fresh database with the chassis' tables; which service's it is does not matter here."""
    addresses = await service_pool.database("notifications")
    name = urlsplit(addresses.app_url).path
    opened = await Database.open(
        addresses, admin_url=urlsplit(infrastructure.database_url)._replace(path=name).geturl()
    )
    yield opened
    await opened.close()


@pytest.fixture
async def feed(infrastructure: Infrastructure) -> AsyncIterator[Feed]:
    """A topic of the test's own on the session's broker."""
    opened = await Feed.open(infrastructure.kafka, own_topic())
    yield opened
    await opened.close()


@pytest.fixture
def session_ms(infrastructure: Infrastructure) -> int:
    """How long a consumer may be silent: short on our own broker, else as short as Kafka's defaults allow."""
    return 1500 if infrastructure.broker.process.running else 6000
