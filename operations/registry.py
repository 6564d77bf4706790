"""The active registry: install one, and change one so that the figures of past days move with it.

A registry is in two places, ClickHouse for readers and the topic `units` for workers, so loading it
is not one act. A load claims the registry first; a later claim takes over, and the earlier
one stops with an error instead of leaving a mixture of both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Self
from uuid import uuid4

from clickhouse_driver import Client

from operations.close_chunks import close_chunks
from pravah.errors import PravahError
from pravah.settings import Settings
from producers.topics.registry import publish_registry, read_registry
from schemas.moves import Difference, compare_registries
from schemas.registry import Registry
from sinks.connection import connect
from sinks.deployment import REGISTRY, get_fact, set_fact
from sinks.dimensions import load_registry, proposed
from sinks.migrate import Schema
from sinks.recount import Cut, Movement, closed_cut, movements, recount
from sinks.repair import Repair, repair

# Name of the deployment fact that says who loads a registry, and how it ends when that is done.
_CLAIM, _DONE = "registry_load", " done"
# Chunks that were being closed under the old registry may need a further repair.
_MAX_REPAIRS = 3


class RegistryConflictError(PravahError):
    """Somebody else loaded a registry at the same time; the message says what to do."""


@dataclass(frozen=True)
class RegistryChange:
    """A registry that is to follow the current one, and what it changes."""

    registry: Registry
    replaces: str | None
    """Fingerprint of the active registry when the change was computed."""
    units: list[Difference]
    """Units that differ."""
    figures: list[Movement]
    """Figures that move, summed by unit and metric, from the top level down."""


def current_registry(settings: Settings) -> Registry:
    """The registry in the topic `units`.

    Raises:
        LookupError: no registry was loaded.
        ProducerError: Kafka does not answer.
    """
    registry = read_registry(settings.kafka)
    if registry is None:
        msg = (
            "no registry is loaded: `pravah up` loads the one that comes with Pravah, "
            "`pravah units load FOLDER` your own"
        )
        raise LookupError(msg)
    return registry


def install_registry(settings: Settings, registry: Registry, *, replaces: str | None = None) -> int:
    """Put a registry into ClickHouse, where readers look, and into the topic `units` for workers.

    Args:
        settings: of the deployment.
        registry: checked.
        replaces: fingerprint of the registry that must be in force; None: any.

    Returns:
        The number of changed entries in the topic.

    Raises:
        RegistryConflictError: another registry than `replaces` is in force, or another one was
            loaded at the same time.
        ProducerError: Kafka does not answer; installing again completes it.
    """
    with connect(settings.clickhouse, "writer") as client:
        claim = _Claim.make(client, registry.fingerprint())
        if replaces is not None and (current := get_fact(client, REGISTRY)) != replaces:
            claim.release()
            msg = f"the registry {current} was loaded meanwhile, in place of {replaces}: try again"
            raise RegistryConflictError(msg)
        load_registry(
            client, Schema(settings.clickhouse.database, settings.clickhouse.cluster), registry
        )
        claim.check()
        changed = publish_registry(settings.kafka, registry)
        claim.check()
        if claim.took_over and publish_registry(settings.kafka, registry):
            claim.raise_conflict()
        set_fact(client, REGISTRY, registry.fingerprint(), condition=claim.condition)
        claim.release()
    return changed


def preview_change(
    settings: Settings,
    client: Client,
    present: Registry,
    following: Registry,
    *,
    wait: float,
    report: Callable[[str], None],
) -> RegistryChange:
    """Compute which units and figures a new registry would change; closes open chunks first.

    Args:
        settings: of the deployment.
        client: the writer's.
        present: the registry in the topic `units`.
        following: the new one.
        wait: seconds without progress after which open chunks are left out.
        report: called with one line for each step that takes time.

    Raises:
        LookupError: figures differ from the ledger already.
    """
    replaces = get_fact(client, REGISTRY)
    units = compare_registries(present, following)
    closing = close_chunks(settings, client, wait=wait, report=report)
    if not closing.is_complete:
        report(
            "no worker closes the open chunks: their events will be folded under the new registry, "
            "and figures as known before will lack them"
        )
    _check_equal(client, closing.cut)
    schema = Schema(settings.clickhouse.database, settings.clickhouse.cluster)
    with proposed(client, schema, following) as ancestors:
        figures = movements(client, closing.cut, ancestors=ancestors)
    return RegistryChange(following, replaces, units, figures)


def apply_change(
    settings: Settings,
    client: Client,
    change: RegistryChange,
    *,
    reason: str,
    author: str,
    report: Callable[[str], None],
) -> list[Repair]:
    """Put the new registry in force and move the figures of past days by repairs.

    Args:
        settings: of the deployment.
        client: the writer's.
        change: as `preview_change` computed it.
        reason: recorded with each repair.
        author: recorded with each repair.
        report: called with one line when the registry is in force.

    Returns:
        The repairs; none if no figure moved.

    Raises:
        RegistryConflictError: another registry was loaded since the change was computed.
        sinks.repair.RepairRunningError: another repair runs.
    """
    install_registry(settings, change.registry, replaces=change.replaces)
    report("the registry is in force; moving figures …")
    repairs = []
    # No chunk is closed under the old registry from now on, but one may have been on its way.
    for _ in range(_MAX_REPAIRS):
        cut = closed_cut(client)
        if recount(client, cut, examples=0).equal:
            break
        done = repair(
            client,
            settings.clickhouse,
            cut,
            kind="units",
            reason=reason,
            author=author,
            registry=change.registry.fingerprint(),
        )
        repairs.append(done)
    return repairs


def _check_equal(client: Client, cut: Cut) -> None:
    """Refuse to mix the change with figures that were wrong before."""
    before = recount(client, cut, examples=0)
    if not before.equal:
        msg = (
            f"{before.different:,} figures differ from the ledger already: run "
            "`pravah reconcile --repair` first, so that this change's reason stands for this "
            "change alone"
        )
        raise LookupError(msg)


@dataclass(frozen=True)
class _Claim:
    """Whose load of a registry counts: the newest claim's."""

    client: Client
    value: str
    took_over: bool
    """Whether another load was not finished: it may still write to the topic."""

    @classmethod
    def make(cls, client: Client, fingerprint: str) -> Self:
        """Claim the registry; an earlier claim ends by that."""
        earlier = get_fact(client, _CLAIM)
        value = f"{fingerprint} {uuid4().hex}"
        set_fact(client, _CLAIM, value)
        is_unfinished = earlier is not None and not earlier.endswith(_DONE)
        return cls(client, value, is_unfinished)

    @property
    def condition(self) -> str:
        """SQL condition that holds while nobody has claimed the registry to load another one."""
        fingerprint = self.value.partition(" ")[0]
        newest = f"SELECT argMax(value, at) FROM deployment WHERE name = '{_CLAIM}'"
        return f"startsWith(({newest}), '{fingerprint} ')"

    def check(self) -> str:
        """Stop if somebody has claimed the registry since, to load another one.

        Returns:
            The newest claim: ours, or one for the same registry.

        Raises:
            RegistryConflictError: another registry is being loaded, or was.
        """
        newest = get_fact(self.client, _CLAIM) or ""
        if newest.partition(" ")[0] != self.value.partition(" ")[0]:
            self.raise_conflict()
        return newest

    def raise_conflict(self) -> NoReturn:
        """Say that the load was stopped.

        Raises:
            RegistryConflictError: always.
        """
        msg = (
            "another registry was loaded at the same time: when that has ended, load the one "
            "that is to be in force again"
        )
        raise RegistryConflictError(msg)

    def release(self) -> None:
        """Note that the load is complete.

        Raises:
            RegistryConflictError: another registry is being loaded, or was.
        """
        if self.check() == self.value:
            set_fact(self.client, _CLAIM, self.value + _DONE)
