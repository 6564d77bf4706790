"""Pravah's topics, on the embedded Kafka or any other."""

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from pravah.kafka import client_options
from pravah.settings import KafkaSettings
from pravah.topics import ALERTS, EVENTS, REJECTED, UNITS
from stack.errors import StackError

_DAY_MS = 86_400_000
_REJECTED_DAYS = 90
# A topic that was just created is not known to every broker at once.
_METADATA_SECONDS = 5.0


def identify(kafka: KafkaSettings) -> tuple[str, int]:
    """Return the topic id and the number of partitions of `activity.events`.

    Raises:
        StackError: there is no such topic.
    """
    admin = KafkaAdminClient(**client_options(kafka))
    try:
        patiently = Retrying(
            retry=retry_if_result(lambda found: found["error_code"]),
            stop=stop_after_delay(_METADATA_SECONDS),
            wait=wait_fixed(0.1),
        )
        topic = patiently(lambda: admin.describe_topics([EVENTS])[0])
    except RetryError as error:
        msg = f"Kafka at {kafka.bootstrap_servers} has no topic {EVENTS!r}; `pravah up` makes it"
        raise StackError(msg) from error
    finally:
        admin.close()
    return str(topic["topic_id"]), len(topic["partitions"])


def create_topics(kafka: KafkaSettings) -> None:
    """Create the topics that do not exist; existing ones stay as they are.

    `activity.events` has the broker's append time, because chunks end by it. `activity.rejected`
    accepts larger records, because it keeps records that are too large.

    Raises:
        StackError: `activity.events` exists with another number of partitions than configured.
    """
    appended = {"message.timestamp.type": "LogAppendTime"}
    topics = {
        EVENTS: (
            kafka.partitions,
            {
                **appended,
                "max.message.bytes": str(4 << 20),
                "retention.ms": str(kafka.retention_days * _DAY_MS),
            },
        ),
        REJECTED: (
            kafka.partitions,
            {
                **appended,
                "max.message.bytes": str(8 << 20),
                "retention.ms": str(_REJECTED_DAYS * _DAY_MS),
            },
        ),
        ALERTS: (1, {**appended, "retention.ms": str(_REJECTED_DAYS * _DAY_MS)}),
        UNITS: (1, {"cleanup.policy": "compact"}),
    }
    admin = KafkaAdminClient(**client_options(kafka))
    try:
        present = set(admin.list_topics())
        missing = [
            NewTopic(name, count, kafka.replication, topic_configs=configs)
            for name, (count, configs) in topics.items()
            if name not in present
        ]
        if missing:
            try:
                admin.create_topics(missing)
            except TopicAlreadyExistsError:
                return create_topics(kafka)  # another process was faster
        if EVENTS in present:
            found = len(admin.describe_topics([EVENTS])[0]["partitions"])
            if found != kafka.partitions:
                msg = (
                    f"{EVENTS} has {found} partitions, PRAVAH_KAFKA__PARTITIONS says "
                    f"{kafka.partitions}: set it to {found}; more partitions are a rebuild"
                )
                raise StackError(msg)
    finally:
        admin.close()
    return None
