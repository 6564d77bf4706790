"""Kafka Streams (`kafka_streams/`, Java): a processor with a state store for each partition.

    python benchmarks/peers/kafka_streams.py --create --run ID
    python benchmarks/peers/kafka_streams.py --run ID --seconds 30 [--figures derived|stored]
        [--store memory|rocksdb] [--threads 2] [--exactly-once]

Absolute figures go to ClickHouse once a second. It reads the stack of PRAVAH_HOME. The first start
builds the program with Maven and a JDK. This process becomes the JVM, so that the JVM itself is
measured and killed. The last line of output is `{"events": n, "seconds": s}`.

Written as an expert in Kafka Streams would: no repartition topic, because figures are summed for
each partition separately; a cache before the store, so that the changelog gets each row once a
commit, which is once a second; static membership, so that the next process takes over at once after
a kill; fastjson2's streaming reader, which was faster than Jackson's.

`--figures derived` stores the amounts that units reported, a row for each unit and day, keeps the
figures in memory and rebuilds them from the store after a restart: one write to the store for each
event. `--figures stored` keeps every figure of every level in the store, which is the simple way,
and reads and writes about nine rows for each event.

Delivery is at least once, the default: after a kill some events may be counted twice.
`--exactly-once` is Kafka's `exactly_once_v2`. A JVM is slow in its first seconds, until its code is
compiled: let it count a few million events.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import reference
from pravah.settings import Settings
from schemas.metrics import MetricDictionary
from sinks.connection import connect
from stack.install import ensure_installed

HERE = Path(__file__).parent / "kafka_streams"
JAVA_OPTIONS = (
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseParallelGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
TABLE = "bench_figures_kafka_streams"


def main() -> None:
    """Create the table, or become the engine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", required=True, help="name of the consumer group and the saved state"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="maximum time of reading")
    parser.add_argument(
        "--create", action="store_true", help="recreate the table of figures, and end"
    )
    parser.add_argument("--store", choices=["memory", "rocksdb"], default="memory")
    parser.add_argument(
        "--figures",
        choices=["derived", "stored"],
        default="derived",
        help="sum figures in memory from the stored amounts of units; or store each figure",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--exactly-once", action="store_true")
    options = parser.parse_args()
    settings = Settings()
    if options.create:
        create(settings)
        return
    built = build()
    folder = settings.home.resolve() / "kafka-streams"
    folder.mkdir(exist_ok=True)
    rules = folder / f"{options.run}.tsv"
    rules.write_text(
        rules_of(MetricDictionary.from_toml(reference.metrics_file().read_text(encoding="utf-8"))),
        encoding="utf-8",
    )
    clickhouse, account = settings.clickhouse, settings.clickhouse.users["writer"]
    properties = {
        "run": options.run,
        "seconds": options.seconds,
        "store": options.store,
        "threads": options.threads,
        "figures": options.figures,
        "guarantee": "exactly_once_v2" if options.exactly_once else "at_least_once",
        "bootstrap": settings.kafka.bootstrap_servers,
        "state": folder / "state",
        "rules": rules,
        "clickhouse": (
            f"http://{clickhouse.host}:{clickhouse.http_port}/?database={clickhouse.database}"
        ),
        "user": account.user,
        "table": TABLE,
    }
    java = str(ensure_installed().java)
    command = [
        java,
        *JAVA_OPTIONS,
        *[f"-D{name}={value}" for name, value in properties.items()],
        "-cp",
        f"{built / 'peer.jar'}:{built / 'libs'}/*",
        "pravah.Peer",
    ]
    os.execve(  # noqa: S606
        java, command, {**os.environ, "CLICKHOUSE_PASSWORD": account.password.get_secret_value()}
    )


def create(settings: Settings) -> None:
    """Recreate the table of figures.

    It is in Pravah's database, the only one to which the account may write.
    """
    with connect(settings.clickhouse, "writer") as client:
        client.execute(f"DROP TABLE IF EXISTS {TABLE} SYNC")
        client.execute(
            f"""
            CREATE TABLE {TABLE} (
                level LowCardinality(String), unit LowCardinality(String),
                metric LowCardinality(String), day Date, partition Int32, value Int64,
                version UInt64
            )
            ENGINE = ReplacingMergeTree(version) ORDER BY (level, unit, metric, day, partition)
            """
        )


def build() -> Path:
    """Build the program if its sources have changed.

    Returns:
        The folder with the jar and its libraries.
    """
    sources = sorted([HERE / "pom.xml", *HERE.glob("src/**/*.java")])
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    built = HERE / "target"
    mark = built / "sources.sha256"
    if not mark.exists() or mark.read_text(encoding="utf-8") != digest:
        missing = [
            package
            for program, package in (("mvn", "maven"), ("javac", "openjdk-17-jdk-headless"))
            if shutil.which(program) is None
        ]
        if missing:
            sys.exit(
                "the Kafka Streams peer cannot be built; "
                f"on Debian: apt-get install {' '.join(missing)}"
            )
        print("building the Kafka Streams peer …", file=sys.stderr, flush=True)
        done = subprocess.run(
            ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), "clean", "package"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            output = (done.stdout + done.stderr).strip()[-2000:]
            sys.exit(f"building the Kafka Streams peer failed:\n{output}")
        mark.write_text(digest, encoding="utf-8")
    return built


def rules_of(dictionary: MetricDictionary) -> str:
    """Write the metric dictionary in the form that `Rules.java` reads."""
    lines = []
    for metric in dictionary.metrics.values():
        source = metric.source
        where, field = (
            (dict(source.where), source.field or "")
            if source.kind != "tally"
            else ({"metric": metric.metric}, "value")
        )
        if len(where) > 1:
            msg = f"{metric.metric}: the peer supports one condition a metric, not {len(where)}"
            raise ValueError(msg)
        ((name, value),) = where.items() or (("", ""),)
        lines.append(
            "\t".join(
                (
                    metric.metric,
                    source.kind,
                    name,
                    value,
                    field,
                    "1" if metric.type == "stock" else "0",
                )
            )
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
