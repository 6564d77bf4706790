"""Consumer groups of Kafka."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient
from kafka.errors import GroupIdNotFoundError, NonEmptyGroupError

from pravah.kafka import client_options
from pravah.settings import KafkaSettings
from stack.errors import StackError

_POLL_SECONDS = 0.2
# Kafka removes a silent member at its next look after the session timeout.
_MARGIN_SECONDS = 2.0


def wait_for_empty_group(
    kafka: KafkaSettings, group: str, *, seconds: float, report: Callable[[str], None]
) -> int:
    """Wait until a group has no members, for as long as one that was killed counts as a member.

    Args:
        kafka: of the deployment.
        group: its name.
        seconds: session timeout of the members.
        report: called with one line if it has to wait.

    Returns:
        The number of members that are alive.
    """
    with _admin(kafka) as admin:
        deadline = None
        while members := len(admin.describe_groups([group])[group]["members"]):
            if deadline is None:
                deadline = time.monotonic() + seconds + _MARGIN_SECONDS
                report(
                    f"waiting up to {seconds:.0f} s for the workers of the group {group!r} "
                    f"({members}), in case they have been killed …"
                )
            if time.monotonic() > deadline:
                return members
            time.sleep(_POLL_SECONDS)
        return 0


def delete_group(kafka: KafkaSettings, group: str) -> bool:
    """Delete a group with its committed offsets, if there is one.

    Returns:
        False if it has members, and nothing was done.

    Raises:
        StackError: Kafka refuses for another reason.
    """
    with _admin(kafka) as admin:
        outcome = admin.delete_groups([group])[group]
    if outcome not in {"OK", GroupIdNotFoundError.__name__, NonEmptyGroupError.__name__}:
        msg = f"Kafka does not delete the group {group!r}: {outcome}"
        raise StackError(msg)
    return bool(outcome != NonEmptyGroupError.__name__)


@contextmanager
def _admin(kafka: KafkaSettings) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(**client_options(kafka))
    try:
        yield admin
    finally:
        admin.close()
