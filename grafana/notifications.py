"""Alert notifications: contact points, message template, notification policy, mute timing."""

from dataclasses import dataclass
from typing import Any

from grafana.alerts import CONTROL_ROOM, OPERATIONS
from pravah.settings import Settings

TEMPLATE = "pravah"
NIGHT = "pravah-night"
# Contact point that every Grafana has.
DEFAULT = "grafana-default-email"

# Without a line end: Grafana strips it.
MESSAGE = (
    '{{ define "pravah.title" }}{{ if eq .Status "firing" }}🔴{{ else }}'
    "🟢 ठीक हुआ · resolved:{{ end }} {{ .CommonLabels.alertname }} ({{ len .Alerts }}){{ end }}\n"
    '{{ define "pravah.message" }}{{ range .Alerts }}{{ if eq .Status "resolved" }}✔ {{ end }}'
    "{{ .Annotations.summary }}\n"
    "{{ .Annotations.description }}\n"
    "{{ .Annotations.link }}\n"
    "\n"
    "{{ end }}{{ end }}"
)


@dataclass(frozen=True)
class Contacts:
    """Addresses for alerts: values, or environment variables that Grafana replaces in files."""

    webhook: str | None = None
    email: str | None = None
    """Addresses, separated by `;`."""
    telegram_token: str | None = None
    telegram_chat: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Contacts":
        """Contacts from the settings."""
        secret = {
            name: value.get_secret_value() if value else None
            for name, value in (
                ("hook", settings.alert_webhook),
                ("token", settings.alert_telegram_token),
            )
        }
        return cls(
            secret["hook"], settings.alert_email, secret["token"], settings.alert_telegram_chat
        )

    @classmethod
    def by_name(cls, settings: Settings) -> "Contacts":
        """The contacts that are set, as environment variables that Grafana replaces in files."""
        names = {
            name: f"${{PRAVAH_ALERT_{name.upper()}}}"
            for name in ("webhook", "email", "telegram_token", "telegram_chat")
        }
        return cls(
            **{
                name: variable if getattr(settings, f"alert_{name}") else None
                for name, variable in names.items()
            }
        )

    def __repr__(self) -> str:
        """Names only: a webhook's address and a token are secrets."""
        return f"Contacts({', '.join(self.names) or 'none'})"

    @property
    def names(self) -> list[str]:
        """Names of the contacts that are set."""
        found = {
            "webhook": self.webhook,
            "email": self.email,
            "telegram": self.telegram_token and self.telegram_chat,
        }
        return [name for name, value in found.items() if value]


def contact_points(contacts: Contacts) -> list[dict[str, Any]]:
    """Contact points for provisioning; they share a name, so that one policy reaches all."""
    title, message = '{{ template "pravah.title" . }}', '{{ template "pravah.message" . }}'
    settings: dict[str, dict[str, Any]] = {
        "webhook": {"url": contacts.webhook, "httpMethod": "POST"},
        "email": {
            "addresses": contacts.email,
            "singleEmail": True,
            "subject": title,
            "message": message,
        },
        "telegram": {
            "bottoken": contacts.telegram_token,
            "chatid": contacts.telegram_chat,
            "message": f"{title}\n{message}",
        },
    }
    return [
        {
            "uid": f"pravah-{name}",
            "name": TEMPLATE,
            "type": name,
            "settings": settings[name],
            "disableResolveMessage": False,
        }
        for name in contacts.names
    ]


def mute_timing() -> dict[str, Any]:
    """Mute timing for the night, 22 to 8 o'clock in India.

    In UTC, which every Grafana accepts; India has no daylight saving time.
    """
    times = [
        {"start_time": "16:30", "end_time": "24:00"},
        {"start_time": "00:00", "end_time": "02:30"},
    ]
    return {"name": NIGHT, "time_intervals": [{"times": times}]}


def policy(contacts: Contacts) -> dict[str, Any]:
    """Notification policy: alerts are grouped by rule, and repeated at most once a day.

    Alerts that need people in the field wait for the morning; a standstill of the figures does not.
    """
    receiver = TEMPLATE if contacts.names else DEFAULT

    def to(team: str, severity: str, **more: object) -> dict[str, Any]:
        return {
            "receiver": receiver,
            "object_matchers": [["severity", "=", severity], ["team", "=", team]],
            **more,
        }

    return {
        "receiver": receiver,
        "group_by": ["grafana_folder", "alertname"],
        "group_wait": "1m",
        "group_interval": "30m",
        "repeat_interval": "1d",
        "routes": [
            to(
                OPERATIONS,
                "act",
                group_by=["alertname"],
                group_wait="30s",
                group_interval="5m",
                repeat_interval="4h",
            ),
            to(OPERATIONS, "look", group_by=["alertname"], mute_time_intervals=[NIGHT]),
            to(
                CONTROL_ROOM,
                "act",
                group_by=["alertname"],
                group_wait="5m",
                group_interval="1h",
                mute_time_intervals=[NIGHT],
            ),
            to(
                CONTROL_ROOM,
                "look",
                group_by=["alertname"],
                group_wait="5m",
                group_interval="6h",
                mute_time_intervals=[NIGHT],
            ),
        ],
    }
