"""Apache Kafka 4.3: broker and controller in one process, on loopback, open to every user of the machine."""

import shutil
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from deploy.embedded.distribution import Distribution
from deploy.embedded.processes import Process
from deploy.embedded.readiness import listens

SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}

# Topics are made by the services, from their declaration.
auto.create.topics.enable=false
message.max.bytes=4194304

# One node.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A small machine.
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=1
background.threads=2
log.cleaner.dedupe.buffer.size=2097152

# Nobody waits: consumers join at once, may be missed within a second, and a killed broker is let in again as soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=100
"""

STOPPED_IN_ORDER = 143  # how Java ends on SIGTERM


class Kafka:
    """One Kafka broker with its data in `home/kafka`."""

    name = "Kafka"

    def __init__(self, home: Path, *, port: int, controller_port: int, distribution: Distribution) -> None:
        self.url = f"127.0.0.1:{port}"
        self._port = port
        self._folder = home / "kafka"
        self._data = self._folder / "data"
        self._settings = SETTINGS.format(port=port, controller_port=controller_port, data=self._data)
        self._distribution = distribution
        # Its first stop on a machine takes 2 s more, or several times that on a busy one: it archives its classes.
        self.process = Process("kafka", [], home=home, ready=self._answers, grace_s=20)

    async def start(self) -> None:
        """Start the broker with what it had kept, as a new cluster if that is nothing."""
        await self._distribution.prepare(self.process.home)
        if not self._data.exists():
            self._distribution.format(self._data)
        settings = self._folder / "server.properties"
        settings.write_text(self._settings, "utf-8")
        self.process.argv = self._distribution.command("kafka.Kafka", settings)
        await self.process.start()

    async def stop(self) -> None:
        """Let it write down what it has, and stop."""
        if not self.process.running:
            return
        await self.process.stop()
        if await self.process.ended() == STOPPED_IN_ORDER:
            self._distribution.keep_classes()
        else:
            self._distribution.discard_classes()

    async def wipe(self) -> None:
        """Lose its disk: kill it and start it empty, on the same port, as another cluster."""
        self.process.kill()
        shutil.rmtree(self._data)
        await self.start()

    async def cluster_id(self) -> str:
        """Ask the broker which cluster it is."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.url)
        await admin.start()
        try:
            return str((await admin.describe_cluster())["cluster_id"])
        finally:
            await admin.close()

    async def _answers(self) -> bool:
        """Ask for metadata; the answer names no broker until the controller has let it in."""
        if not await listens(self._port):  # first, as the client logs an error where nobody listens
            return False
        client = AIOKafkaClient(bootstrap_servers=self.url, request_timeout_ms=2_000)
        try:
            await client.bootstrap()
            return bool(client.cluster.brokers())
        except KafkaError:
            return False
        finally:
            await client.close()
