"""Kafka as broker and controller in one process (KRaft), on loopback only."""

import base64
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from pravah.child_environment import child_environment
from stack.errors import StackError
from stack.install import Tools

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.bytes=134217728
"""


@dataclass(frozen=True)
class KafkaServer:
    """One broker of a stack."""

    tools: Tools
    home: Path
    port: int
    controller_port: int

    name = "kafka"

    @property
    def log_file(self) -> Path:
        """The broker's log."""
        return self.home / "logs" / "kafka.log"

    def prepare(self) -> None:
        """Write the configuration, and format the data folder the first time.

        Raises:
            StackError: formatting failed.
        """
        data = self.home / "kafka"
        data.mkdir(parents=True, exist_ok=True)
        config = self._config
        config.write_text(
            _PROPERTIES.format(
                port=self.port, controller_port=self.controller_port, data=data.resolve()
            ),
            encoding="utf-8",
        )
        if not (data / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
            command = [
                *self._java,
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                "--config",
                str(config),
            ]
            done = subprocess.run(
                command, env=child_environment(), capture_output=True, text=True, check=False
            )
            if done.returncode:
                reason = (done.stderr or done.stdout).strip().splitlines()[-1]
                msg = f"Kafka could not format {data}: {reason}"
                raise StackError(msg)

    def command(self) -> list[str]:
        """The command that runs the broker in the foreground."""
        return [*self._java, "kafka.Kafka", str(self._config)]

    def is_ready(self) -> bool:
        """Whether the broker answers."""
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=[f"127.0.0.1:{self.port}"],
                request_timeout_ms=2000,
                bootstrap_timeout_ms=1000,
            )
        except (KafkaError, OSError, ValueError):
            return False
        try:
            admin.list_topics()
        except (KafkaError, OSError):
            return False
        else:
            return True
        finally:
            admin.close()

    @property
    def _config(self) -> Path:
        return self.home / "kafka.properties"

    @property
    def _java(self) -> list[str]:
        options = [
            "-Xms256m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
        ]
        return [str(self.tools.java), *options, "-cp", str(self.tools.kafka_jars / "*")]
