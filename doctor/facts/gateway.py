"""Facts about the gateway of this home: its sources, and its SQLite file if it has ever run.

Reads the file beside a running gateway, and changes nothing.
"""

import fcntl
import shutil
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from doctor.facts.disk import Disk
from pravah.settings import Settings
from producers.gateway.schema import FILE, PullState, open_read_only, pull_states
from producers.gateway.sources import FieldSource, FieldSourcesError, read_field_sources
from producers.gateway.status import GatewayStatus, read_status
from producers.mapping.form_mapping import FormMapping, MappingError
from schemas.entries import decode_entries
from schemas.registry_readers import registry_from_entries


@dataclass(frozen=True)
class GatewayFile:
    """Contents of the gateway's SQLite file."""

    path: Path
    status: GatewayStatus
    pulls: Mapping[str, PullState]
    """Source → outcome of its last pull."""
    archive_oldest_at: float | None
    """Arrival of the oldest archived body, epoch seconds; None if there is none."""
    registry_fingerprint: str
    """Of the unit registry that the gateway uses; empty if it has none yet."""
    is_running: bool
    """Whether a process relays the outbox to Kafka."""
    disk: Disk
    """Where the file lies."""
    gathered_at: float
    """Our clock, epoch seconds."""


@dataclass(frozen=True)
class GatewayFacts:
    """State of the gateway."""

    folder: Path
    """Where source files are looked for."""
    sources: tuple[str, ...] = ()
    """Names of the configured sources; empty if they cannot be read."""
    source_problems: tuple[str, ...] = ()
    """Everything that is wrong with the source files, file by file."""
    file: GatewayFile | None = None
    """None if no gateway has run on this home."""


def gather_gateway(settings: Settings) -> GatewayFacts:
    """Gather facts about the gateway. Changes nothing.

    Args:
        settings: of the installation; the gateway's file is in its home.

    Raises:
        OSError, sqlite3.Error, ValueError: the gateway's file cannot be read.
    """
    folder = settings.gateway_sources
    sources: dict[str, FieldSource] = {}
    problems: list[str] = []
    if folder.is_dir() and any(folder.glob("*.toml")):
        try:
            sources = read_field_sources(folder)
        except FieldSourcesError as error:
            problems = str(error).splitlines()
        problems += _mapping_problems(sources)
    path = settings.home / "gateway" / FILE
    file = _read_file(path, tuple(sources)) if path.is_file() else None
    return GatewayFacts(folder, tuple(sources), tuple(problems), file)


def _mapping_problems(sources: Mapping[str, FieldSource]) -> Iterator[str]:
    for source in sources.values():
        for form, path in source.forms.items():
            try:
                FormMapping.from_toml(path.read_text(encoding="utf-8"))
            except (MappingError, OSError, UnicodeDecodeError) as error:
                for line in str(error).splitlines():
                    yield f"{source.name}.toml: form {form}: {path}: {line}"


def _read_file(path: Path, sources: tuple[str, ...]) -> GatewayFile | None:
    """The file's contents; None if only other commands, such as `pravah import`, have used it."""
    now = time.time()
    with open_read_only(path) as connection:
        found = read_status(connection, sources, now)
        registry = connection.execute("SELECT 1 FROM registry").fetchone()
        if registry is None and not any(source.last_seen for source in found.sources):
            return None
        return GatewayFile(
            path=path,
            status=found,
            pulls=pull_states(connection),
            archive_oldest_at=connection.execute("SELECT min(at) FROM archive").fetchone()[0],
            registry_fingerprint=_registry_fingerprint(connection),
            is_running=_is_relay_running(path),
            disk=_disk(path),
            gathered_at=now,
        )


def _registry_fingerprint(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT entries FROM registry").fetchone()
    if row is None:
        return ""
    return registry_from_entries(decode_entries(zlib.decompress(row[0]))).fingerprint()


def _is_relay_running(path: Path) -> bool:
    """Whether a process holds the relay's lock; a shared lock is tried, and given back at once."""
    try:
        with (path.parent / f"{path.name}.forwarder").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _disk(path: Path) -> Disk:
    usage = shutil.disk_usage(path.parent)
    return Disk(str(path.parent), usage.free, usage.total)
