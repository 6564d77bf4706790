"""Rules about settings, files and libraries of this machine."""

from collections.abc import Iterator

from doctor.facts import Facts
from doctor.rules.base import Finding, Rule, format_chunk

_LOOPBACK = ("127.", "localhost", "[::1]", "::1")


def _chunk_size(facts: Facts) -> Iterator[Finding]:
    size, tables = facts.settings.chunk_size, facts.tables
    reaching = [
        chunk
        for chunk in tables.open_chunks
        if chunk.next_offset > chunk.start
        and chunk.start // size != (chunk.next_offset - 1) // size
    ]
    if reaching:
        yield Finding(
            "failure",
            f"PRAVAH_CHUNK_SIZE is {size:,}, but the open {format_chunk(reaching[0])} reaches "
            "over a place where that cuts: a worker with this size refuses to go on",
            "set the size that the workers had, equal for all of them, at least until no worker "
            "runs and all is counted",
        )
    elif tables.oversized_chunks:
        yield Finding(
            "warning",
            f"PRAVAH_CHUNK_SIZE is {size:,}, but closed chunks were cut by a larger size, the "
            f"newest being {format_chunk(tables.oversized_chunks[0])}",
            "harmless if the size was changed for all workers at once; make sure that all have "
            "the same now",
        )
    else:
        yield Finding("ok", f"{size:,}, and no chunk is larger")


def _person_key(facts: Facts) -> Iterator[Finding]:
    if facts.settings.person_key is None:
        yield Finding(
            "warning",
            "PRAVAH_PERSON_KEY is not set: `pravah import` cannot hash who is named",
            "set one secret of 16 characters or more, the same in the whole installation, and "
            "keep it",
        )
    else:
        yield Finding("ok", "PRAVAH_PERSON_KEY is set")


def _named_files(facts: Facts) -> Iterator[Finding]:
    if facts.missing_files:
        yield Finding(
            "failure",
            f"not there, or not readable: {', '.join(facts.missing_files)}",
            "repair the path, or the file's rights",
        )
    else:
        yield Finding("ok", "all files that are named can be read")


def _pdf_renderer(facts: Facts) -> Iterator[Finding]:
    if facts.missing_libraries:
        found, _, remedy = facts.missing_libraries.partition("; ")
        yield Finding("warning", found, remedy)
    else:
        yield Finding("ok", "reports can be made as PDF and PNG")


def _encryption(facts: Facts) -> Iterator[Finding]:
    kafka, clickhouse = facts.settings.kafka, facts.settings.clickhouse
    open_to = []
    if not kafka.security_protocol.endswith("SSL") and not all(
        server.strip().startswith(_LOOPBACK) for server in kafka.bootstrap_servers.split(",")
    ):
        open_to.append(("Kafka", "PRAVAH_KAFKA__SECURITY_PROTOCOL=SASL_SSL"))
    if not clickhouse.secure and not clickhouse.host.startswith(_LOOPBACK):
        open_to.append(("ClickHouse", "PRAVAH_CLICKHOUSE__SECURE=true"))
    for server, remedy in open_to:
        yield Finding(
            "warning",
            f"passwords and events go to {server} over the network in the clear",
            f"let the server take TLS, and set {remedy}",
        )
    if not open_to:
        yield Finding("ok", "TLS, or this machine alone")


RULES = (
    Rule("settings", "chunk size", _chunk_size),
    Rule("settings", "person key", _person_key),
    Rule("settings", "files", _named_files),
    Rule("settings", "reports on paper", _pdf_renderer),
    Rule("settings", "encryption", _encryption),
)
