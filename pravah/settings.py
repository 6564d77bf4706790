"""The one settings class and its parts."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

Role = Literal["writer", "grafana", "aicc"]


class ClickHouseUser(BaseModel):
    """A ClickHouse account; the password never shows in a `repr`, a log or an error."""

    model_config = ConfigDict(frozen=True)

    user: str
    password: SecretStr


class KafkaSettings(BaseModel):
    """Where Kafka is and how to reach it: the local stack, or any cluster with SASL and TLS."""

    model_config = ConfigDict(frozen=True)

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092", description="host:port, several with commas"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = Field(
        default=None,
        description="PEM of the authority that signed the brokers' certificates; the system's if empty",
    )
    cert_file: Path | None = Field(
        default=None, description="PEM of this client's certificate, for mutual TLS"
    )
    key_file: Path | None = None
    partitions: int = Field(
        default=12,
        ge=1,
        description="of activity.events, when it is created; later changes are a rebuild",
    )
    replication: int = Field(
        default=1, ge=1, description="replication factor of topics that Pravah creates"
    )
    retention_days: int = Field(
        default=30, ge=1, description="of activity.events: must exceed the longest outage"
    )


class ClickHouseSettings(BaseModel):
    """Where ClickHouse is; the native port serves the writer and readers, the HTTP port Grafana and others."""

    model_config = ConfigDict(frozen=True)

    host: str = "127.0.0.1"
    native_port: int = 9000
    http_port: int = 8123
    database: str = Field(default="pravah", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    cluster: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="name for ON CLUSTER and Replicated engines; one server if empty",
    )
    secure: bool = Field(default=False, description="TLS on the native port")
    ca_file: Path | None = None
    users: dict[Role, ClickHouseUser] = Field(default_factory=dict)
    scoped: dict[str, ClickHouseUser] = Field(
        default_factory=dict,
        description="unit code → an account that sees this unit's rows and no others",
    )

    @field_validator("scoped")
    @classmethod
    def _codes(cls, scoped: dict[str, ClickHouseUser]) -> dict[str, ClickHouseUser]:
        """A variable such as PRAVAH_CLICKHOUSE__SCOPED__CG-D-RPR__USER arrives in small letters."""
        return {unit.upper(): account for unit, account in scoped.items()}


class Settings(BaseSettings):
    """All settings. `Settings()` reads the environment and the running stack; arguments override."""

    model_config = SettingsConfigDict(
        env_prefix="PRAVAH_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    home: Path = Field(
        default=Path(".pravah"), description="where a stack keeps its data, logs and stack.json"
    )
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()

    chunk_size: int = Field(
        default=20_000,
        ge=1,
        description="records: a partition's chunk ends when offset // chunk_size changes, or with the hour",
    )
    filter_bits: int = Field(
        default=32,
        ge=16,
        le=32,
        description="of the fingerprints in the filter before the ledger: a partition's takes at most 2^bits / 8 bytes",
    )
    recent_entities: int = Field(
        default=100_000,
        ge=0,
        description="of a partition, which closed chunks knew and the worker remembers, so that their corrections need not ask ClickHouse; some 300 bytes each",
    )
    flush_seconds: float = Field(
        default=1.0, gt=0, description="how often a worker makes its open chunks durable"
    )
    max_future_hours: float = Field(
        default=24.0,
        ge=0,
        description="an event that occurred later than its arrival by more than this is rejected",
    )
    person_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="keys the hashes that stand for persons; the same everywhere in an installation",
    )
    person_keys_old: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = Field(
        default=(),
        description="keys that person_key followed, the newest first: whoever has a hash under one of them keeps it",
    )
    consumer_group: str = "pravah-rollup"
    worker_host: str = Field(
        default="127.0.0.1", description="where a worker answers /healthz, /readyz and /metrics"
    )
    worker_port: int = Field(
        default=0, ge=0, le=65_535, description="its port; 0 takes a free one, which the log tells"
    )
    api_rate: str = Field(
        default="600/minute",
        pattern=r"^\d+/(second|minute|hour|day)$",
        description="requests of one token to the API; more are answered with 429",
    )
    gateway_sources: Path = Field(
        default=Path("sources"),
        description="the folder with a TOML file for each source that may send to the gateway",
    )
    gateway_aliases: Path | None = Field(
        default=None,
        description="a folder of CSV files with what people call units, for mappings that look units up by alias",
    )
    gateway_archive_days: float = Field(
        default=90.0,
        gt=0,
        description="so long the gateway keeps received bodies, refused ones as well",
    )
    gateway_archive_bytes: int = Field(
        default=8 * 1024**3,
        ge=1_024,
        description="of kept bodies, as they are packed; beyond it the oldest go first",
    )
    gateway_memory_days: float = Field(
        default=400.0,
        gt=0,
        description="so long the gateway knows under which unit a ready event's entity was last reported",
    )
    outbox_rows: int = Field(
        default=5_000_000,
        ge=1,
        description="events that may wait for Kafka in an outbox; more are refused",
    )
    outbox_bytes: int = Field(default=4 * 1024**3, ge=1_048_576, description="the same in bytes")
    outbox_memory_days: float = Field(
        default=30.0,
        gt=0,
        description="so long an outbox knows the event ids it was given, so that each is handed over once",
    )
    grafana_token: SecretStr | None = Field(
        default=None,
        description="of a service account with the role Admin, in the organisation that is provisioned",
    )
    grafana_user: str | None = Field(
        default=None,
        description="Grafana's administrator, who may make organisations; in place of a token",
    )
    grafana_password: SecretStr | None = None
    alert_webhook: SecretStr | None = Field(
        default=None, description="URL that alerts are posted to"
    )
    alert_email: str | None = Field(
        default=None, description="addresses that alerts are sent to, with ; between them"
    )
    alert_telegram_token: SecretStr | None = Field(
        default=None, description="of the bot that sends alerts"
    )
    alert_telegram_chat: str | None = Field(default=None, description="where it sends them")
    session_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=90,
        description="at most 90: a silent worker's partitions go to another after this",
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
        """Put the running stack's endpoints below the environment and above the defaults."""
        given = {**env_settings(), **init_settings()}
        home = Path(str(given.get("home", cls.model_fields["home"].default)))
        return (
            init_settings,
            env_settings,
            JsonConfigSettingsSource(settings_cls, json_file=home / "stack.json"),
        )
