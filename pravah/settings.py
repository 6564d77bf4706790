"""Settings of every part of Pravah, from the environment and the running stack."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from pravah.languages import Lang

Role = Literal["writer", "grafana", "aicc"]


class ClickHouseUser(BaseModel):
    """A ClickHouse account. The password is in no `repr`, log or error."""

    model_config = ConfigDict(frozen=True)

    user: str
    password: SecretStr


class KafkaSettings(BaseModel):
    """Connection to Kafka: the local stack, or any cluster with SASL and TLS."""

    model_config = ConfigDict(frozen=True)

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092", description="host:port, several separated by commas"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authority that signed the brokers' certificates; "
        "the system's authorities if empty",
    )
    cert_file: Path | None = Field(
        default=None, description="PEM file of this client's certificate, for mutual TLS"
    )
    key_file: Path | None = Field(default=None, description="PEM file of that certificate's key")
    partitions: int = Field(
        default=12,
        ge=1,
        description="partitions of activity.events when it is created; "
        "a later change requires a rebuild",
    )
    replication: int = Field(
        default=1, ge=1, description="replication factor of topics that Pravah creates"
    )
    retention_days: int = Field(
        default=30,
        ge=1,
        description="retention of activity.events in days; must exceed the longest outage",
    )


class ClickHouseSettings(BaseModel):
    """Connection to ClickHouse: the native port for Pravah, the HTTP port for Grafana and the API.

    Accounts are by role: `writer` writes figures, `grafana` and `aicc` read.
    """

    model_config = ConfigDict(frozen=True)

    host: str = "127.0.0.1"
    native_port: int = 9000
    http_port: int = 8123
    database: str = Field(default="pravah", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    cluster: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="cluster name for ON CLUSTER and Replicated engines; one server if empty",
    )
    secure: bool = Field(default=False, description="use TLS on the native port")
    ca_file: Path | None = None
    users: dict[Role, ClickHouseUser] = Field(default_factory=dict)
    scoped: dict[str, ClickHouseUser] = Field(
        default_factory=dict,
        description="accounts by unit code, each of which reads the rows of that unit only",
    )

    def account(self, role: Role) -> ClickHouseUser:
        """The account of a role.

        Raises:
            LookupError: there is none; the message says how to come to one.
        """
        if role in self.users:
            return self.users[role]
        what = f"ClickHouse has no account {role!r} here" if self.users else "nothing runs here"
        msg = (
            f"{what}: `pravah up` starts Kafka and ClickHouse with everything ready; PRAVAH_HOME "
            "says where a stack is, PRAVAH_CLICKHOUSE__USERS which accounts a server elsewhere has"
        )
        raise LookupError(msg)

    @field_validator("scoped")
    @classmethod
    def _codes(cls, scoped: dict[str, ClickHouseUser]) -> dict[str, ClickHouseUser]:
        """Upper-case the codes: PRAVAH_CLICKHOUSE__SCOPED__CG-D-RPR__USER arrives lower-cased."""
        return {unit.upper(): account for unit, account in scoped.items()}


class Settings(BaseSettings):
    """All settings. `Settings()` reads the environment, then the running stack's `stack.json`.

    Arguments take precedence over both.
    """

    model_config = SettingsConfigDict(
        env_prefix="PRAVAH_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    home: Path = Field(
        default=Path(".pravah"), description="folder for a stack's data, logs and stack.json"
    )
    # Both, as everywhere that several persons read the same screen: who runs the command is often
    # not who reads its table, and a server's LANG says nothing about either of them.
    lang: Lang = Field(
        default="both",
        description="language of tables, reports and messages: hi, en, or both, each on a line "
        "of its own",
    )
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()

    chunk_size: int = Field(
        default=20_000,
        ge=1,
        description="records per chunk of a partition: a chunk ends when offset // chunk_size "
        "changes, or with the hour",
    )
    filter_bits: int = Field(
        default=32,
        ge=16,
        le=32,
        description="bits per fingerprint in the filter before the ledger; "
        "a partition's filter takes at most 2^bits / 8 bytes",
    )
    recent_entities: int = Field(
        default=100_000,
        ge=0,
        description="entities of closed chunks that a worker caches per partition, so that "
        "corrections need no ClickHouse query; about 300 bytes each",
    )
    flush_seconds: float = Field(
        default=1.0, gt=0, description="interval at which a worker makes open chunks durable"
    )
    max_future_hours: float = Field(
        default=24.0,
        ge=0,
        description="an event that occurred later than its arrival by more than this is rejected",
    )
    person_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="key of the hashes that stand for persons; "
        "the same on every machine of an installation",
    )
    person_keys_old: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = Field(
        default=(),
        description="former values of person_key, newest first; "
        "a person with a hash under one of them keeps it",
    )
    consumer_group: str = "pravah-rollup"
    worker_host: str = Field(
        default="127.0.0.1", description="address of a worker's /healthz, /readyz and /metrics"
    )
    worker_port: int = Field(
        default=0, ge=0, le=65_535, description="their port; 0 chooses a free one and logs it"
    )
    api_rate: str = Field(
        default="600/minute",
        pattern=r"^\d+/(second|minute|hour|day)$",
        description="API requests allowed per token; more are answered with 429",
    )
    api_refused_rate: str = Field(
        default="60/minute",
        pattern=r"^\d+/(second|minute|hour|day)$",
        description="API requests without a valid token allowed per address; more are answered "
        "with 429 before the token is looked up",
    )
    gateway_sources: Path = Field(
        default=Path("sources"),
        description="folder with one TOML file per source that may send to the gateway",
    )
    gateway_aliases: Path | None = Field(
        default=None,
        description="folder of CSV files with other names of units, for mappings that look units "
        "up by alias",
    )
    gateway_archive_days: float = Field(
        default=90.0,
        gt=0,
        description="days for which the gateway keeps received bodies, refused ones included",
    )
    gateway_archive_bytes: int = Field(
        default=8 * 1024**3,
        ge=1_024,
        description="bound of the kept bodies, compressed; the oldest are deleted first",
    )
    gateway_memory_days: float = Field(
        default=400.0,
        gt=0,
        description="days for which the gateway remembers the unit under which the entity of a "
        "ready-made event was last reported",
    )
    outbox_rows: int = Field(
        default=5_000_000,
        ge=1,
        description="events that may wait for Kafka in an outbox; more are refused",
    )
    outbox_bytes: int = Field(
        default=4 * 1024**3, ge=1_048_576, description="the same bound in bytes"
    )
    outbox_memory_days: float = Field(
        default=30.0,
        gt=0,
        description="days for which an outbox remembers event ids, so that it hands each over once",
    )
    grafana_token: SecretStr | None = Field(
        default=None,
        description="token of a Grafana service account with the role Admin in the organisation "
        "to provision",
    )
    grafana_user: str | None = Field(
        default=None,
        description="Grafana's administrator, who may create organisations; instead of a token",
    )
    grafana_password: SecretStr | None = None
    alert_webhook: SecretStr | None = Field(
        default=None, description="URL to which alerts are posted"
    )
    alert_email: str | None = Field(
        default=None, description="addresses to which alerts are sent, separated by ;"
    )
    alert_telegram_token: SecretStr | None = Field(
        default=None, description="token of the Telegram bot that sends alerts"
    )
    alert_telegram_chat: str | None = Field(
        default=None, description="Telegram chat to which it sends them"
    )
    session_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=90,
        description="time after which the partitions of a silent worker go to another",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read `stack.json` with a precedence below the environment and above the defaults."""
        configured = {**env_settings(), **init_settings()}
        home = Path(str(configured.get("home", cls.model_fields["home"].default)))
        return (
            init_settings,
            env_settings,
            JsonConfigSettingsSource(settings_cls, json_file=home / "stack.json"),
        )
