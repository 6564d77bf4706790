"""`Facts`: everything that the rules judge, and `gather`, which reads it once."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from clickhouse_driver.errors import Error as DriverError
from kafka.errors import KafkaError
from pydantic import ValidationError

import reference
from doctor.facts.clickhouse import ServerFacts, TableFacts, gather_server, gather_tables
from doctor.facts.escapes import gather_escapes
from doctor.facts.gateway import GatewayFacts, gather_gateway
from doctor.facts.kafka import KafkaFacts, Topic, gather_kafka
from pravah.producer import ProducerError
from pravah.settings import Settings
from pravah.topics import UNITS
from producers.topics.registry import read_registry
from reference.defaults import default_dictionary
from reports.pdf import missing_libraries
from schemas.metrics import MetricDictionary
from schemas.plan import Plan, PlanError
from schemas.registry import RegistryError
from sinks.connection import first_line
from stack.clickhouse_server import find_weakness

T = TypeVar("T")

_CONNECTION_ERRORS = (DriverError, OSError, EOFError)


class UnavailableError(LookupError):
    """A rule needs a fact that could not be gathered; the message says why."""


@dataclass(frozen=True)
class UnitsTopic:
    """The unit registry in the topic `units`."""

    units: int = 0
    fingerprint: str = ""
    problem: str = ""
    """Why the topic's records are no valid registry; empty if they are."""


@dataclass(frozen=True)
class Facts:
    """Everything that the rules judge. Where a part could not be gathered, the reason is stored."""

    settings: Settings
    dictionary: MetricDictionary
    plan_problem: str
    is_embedded: bool
    """Whether Kafka and ClickHouse are those of the home folder."""
    missing_files: tuple[str, ...]
    """Files that the settings name and that cannot be read."""
    missing_libraries: str
    """Why reports cannot be made as PDF; empty if they can."""
    kafka_or_reason: KafkaFacts | str
    units_or_reason: UnitsTopic | str
    server_or_reason: ServerFacts | str
    tables_or_reason: TableFacts | str
    gateway_or_reason: GatewayFacts | str
    confinement_weakness: str = ""
    """Why the embedded ClickHouse is not confined to its folders; empty if it is."""
    escapes_or_reason: Mapping[str, tuple[str, ...]] | str | None = None
    """Account → attempts that were not refused; None if they were not tried."""

    @property
    def kafka(self) -> KafkaFacts:
        """Facts about Kafka.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        return _available(self.kafka_or_reason, "Kafka does not answer")

    @property
    def units(self) -> UnitsTopic:
        """The registry in Kafka.

        Raises:
            UnavailableError: the topic could not be read.
        """
        return _available(self.units_or_reason, self.units_or_reason)

    @property
    def server(self) -> ServerFacts:
        """Facts about the ClickHouse server.

        Raises:
            UnavailableError: ClickHouse does not answer.
        """
        return _available(self.server_or_reason, "ClickHouse does not answer")

    @property
    def tables(self) -> TableFacts:
        """Facts from our tables.

        Raises:
            UnavailableError: they could not be read.
        """
        return _available(self.tables_or_reason, self.tables_or_reason)

    @property
    def gateway(self) -> GatewayFacts:
        """Facts about the gateway.

        Raises:
            UnavailableError: its file could not be read.
        """
        return _available(self.gateway_or_reason, self.gateway_or_reason)

    def topic(self, name: str) -> Topic:
        """One of our topics.

        Raises:
            UnavailableError: it does not exist, or Kafka does not answer.
        """
        topic = self.kafka.topics.get(name)
        if topic is None:
            msg = f"there is no topic {name}"
            raise UnavailableError(msg)
        return topic

    def config(self, topic: str, name: str) -> str:
        """A setting of one of our topics.

        Raises:
            UnavailableError: our account may not read it.
        """
        value = self.topic(topic).configs.get(name)
        if value is None:
            msg = (
                f"Kafka does not tell the settings of {topic}; "
                "give our account the right DescribeConfigs"
            )
            raise UnavailableError(msg)
        return value


def _available(part: T | str, reason: object) -> T:
    if isinstance(part, str):
        raise UnavailableError(str(reason))
    return part


def gather(settings: Settings, *, embedded: bool, escapes: bool = False) -> Facts:
    """Gather all facts. Changes nothing; an unreachable server costs seconds.

    Args:
        settings: of the deployment.
        embedded: whether its servers are those of the home folder.
        escapes: try what ClickHouse accounts must not be able to do.
    """
    kafka = _gather_kafka(settings)
    server = _gather_server(settings)
    named_files = (
        settings.kafka.ca_file,
        settings.kafka.cert_file,
        settings.kafka.key_file,
        settings.clickhouse.ca_file,
    )
    return Facts(
        settings=settings,
        dictionary=default_dictionary(),
        plan_problem=_plan_problem(),
        is_embedded=embedded,
        missing_files=tuple(
            str(path) for path in named_files if path is not None and not _is_readable(path)
        ),
        missing_libraries=missing_libraries(),
        kafka_or_reason=kafka,
        units_or_reason=_gather_units(settings, kafka),
        server_or_reason=server,
        tables_or_reason=_gather_tables(settings, server),
        gateway_or_reason=_gather_gateway(settings),
        confinement_weakness=find_weakness() if embedded else "",
        escapes_or_reason=(
            _gather_escapes(settings, server, settings.home if embedded else None)
            if escapes
            else None
        ),
    )


def _gather_escapes(
    settings: Settings, server: ServerFacts | str, home: Path | None
) -> Mapping[str, tuple[str, ...]] | str:
    if isinstance(server, str):
        return "ClickHouse does not answer"
    try:
        return gather_escapes(settings.clickhouse, home)
    except _CONNECTION_ERRORS as error:
        return first_line(error)


def _gather_kafka(settings: Settings) -> KafkaFacts | str:
    try:
        return gather_kafka(settings.kafka, settings.consumer_group)
    except KafkaError as error:
        return str(error).splitlines()[0]  # begins with the error's name
    except (OSError, ValueError) as error:
        return first_line(error)


def _gather_units(settings: Settings, kafka: KafkaFacts | str) -> UnitsTopic | str:
    if isinstance(kafka, str):
        return "Kafka does not answer"
    if UNITS not in kafka.topics:
        return f"there is no topic {UNITS}"
    try:
        registry = read_registry(settings.kafka)
    except ProducerError as error:
        return first_line(error)
    except RegistryError as error:
        return UnitsTopic(problem="; ".join(str(error).splitlines()[:3]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return UnitsTopic(problem=f"{error.title}: {first['msg']}")
    return (
        UnitsTopic(problem="it is empty")
        if registry is None
        else UnitsTopic(len(registry), registry.fingerprint())
    )


def _gather_server(settings: Settings) -> ServerFacts | str:
    try:
        return gather_server(settings.clickhouse)
    except LookupError as error:
        return str(error.args[0])
    except _CONNECTION_ERRORS as error:
        return first_line(error)


def _gather_tables(settings: Settings, server: ServerFacts | str) -> TableFacts | str:
    if isinstance(server, str):
        return "ClickHouse does not answer"
    if server.migration != server.newest_migration:
        return "the schema is not the one that this Pravah knows"
    try:
        return gather_tables(settings.clickhouse, settings.chunk_size)
    except _CONNECTION_ERRORS as error:
        return f"our tables cannot be read ({first_line(error)})"


def _gather_gateway(settings: Settings) -> GatewayFacts | str:
    try:
        return gather_gateway(settings)
    except (OSError, sqlite3.Error, ValueError) as error:
        return f"the gateway's file cannot be read ({first_line(error)})"


def _plan_problem() -> str:
    try:
        Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
    except (PlanError, OSError, ValueError) as error:
        return first_line(error)
    return ""


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
