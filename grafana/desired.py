"""What a Grafana should have for an audience: pure, so that it can be applied, compared, and written to files alike."""

from dataclasses import dataclass, field
from typing import Any, Literal

from grafana import build
from grafana.alerts import CONTROL_ROOM, DATASOURCE, FOLDER, OPERATIONS, group
from grafana.clickhouse_query import PLUGIN
from grafana.dashboards.base import (
    ACTIVITY,
    AICC,
    AICC_COPY,
    ASSEMBLY,
    DISTRICT,
    EXPLAIN,
    PIPELINE,
    PROGRAMME,
    WALL,
)
from grafana.notifications import (
    MESSAGE,
    NIGHT,
    TEMPLATE,
    Contacts,
    contact_points,
    mute_timing,
    policy,
)
from pravah.settings import ClickHouseSettings, ClickHouseUser

AudienceName = Literal["state", "district", "aicc"]
Kind = Literal[
    "datasource",
    "folder",
    "dashboard",
    "template",
    "mute timing",
    "contact point",
    "policy",
    "rules",
]
PROMETHEUS = "pravah-prometheus"


@dataclass(frozen=True)
class Audience:
    """Who looks: they have an organisation of their own in Grafana, since any viewer can send any query through its data source."""

    title: str
    dashboards: tuple[str, ...]
    alerts: bool


AUDIENCES: dict[AudienceName, Audience] = {
    "state": Audience(
        "प्रवाह: प्रदेश · Pravah: state",
        (WALL, PROGRAMME, DISTRICT, ASSEMBLY, ACTIVITY, PIPELINE, EXPLAIN),
        alerts=True,
    ),
    "district": Audience(
        "प्रवाह: जिला · Pravah: district",
        (DISTRICT, ASSEMBLY, PROGRAMME, ACTIVITY, EXPLAIN),
        alerts=False,
    ),
    "aicc": Audience(
        "प्रवाह: एआईसीसी · Pravah: AICC",
        (AICC, AICC_COPY, WALL, PROGRAMME, DISTRICT, ASSEMBLY, ACTIVITY, PIPELINE, EXPLAIN),
        alerts=False,
    ),
}


@dataclass(frozen=True)
class Resource:
    """One thing that Grafana keeps."""

    kind: Kind
    uid: str
    content: dict[str, Any]
    secret: dict[str, str] | None = None
    """Of a data source: what Grafana never tells again."""

    def __repr__(self) -> str:
        """Without its content, which may hold a secret."""
        return f"{self.kind} {self.uid}"


@dataclass(frozen=True)
class Wanted:
    """What somebody wants in one organisation of a Grafana."""

    audience: AudienceName
    clickhouse: ClickHouseSettings
    """As Grafana reaches it."""
    account: ClickHouseUser
    """Decides which rows are seen."""
    contacts: Contacts = field(default_factory=Contacts)
    prometheus: str | None = None
    """The address of a Prometheus that watches workers and gateway."""

    def resources(self) -> list[Resource]:
        """Everything, in the order in which it can be made."""
        audience = AUDIENCES[self.audience]
        built = build.dashboards()
        found = [self._clickhouse(), *([self._prometheus()] if self.prometheus else [])]
        found.append(Resource("folder", FOLDER, {"uid": FOLDER, "title": audience.title}))
        found += [Resource("dashboard", uid, built[uid]) for uid in audience.dashboards]
        if audience.alerts:
            found.append(Resource("template", TEMPLATE, {"name": TEMPLATE, "template": MESSAGE}))
            found.append(Resource("mute timing", NIGHT, mute_timing()))
            found += [
                Resource("contact point", str(one["uid"]), one)
                for one in contact_points(self.contacts)
            ]
            if self.contacts.names:
                found.append(Resource("policy", "policy", policy(self.contacts)))
            found += [
                Resource("rules", f"pravah {team}", rules(team))
                for team in (CONTROL_ROOM, OPERATIONS)
            ]
        return found

    def _clickhouse(self) -> Resource:
        where = self.clickhouse
        data = {
            "host": where.host,
            "server": where.host,  # as versions of the plugin before 4 call it
            "port": where.native_port,
            "protocol": "native",
            "secure": where.secure,
            "username": self.account.user,
            "defaultDatabase": where.database,
            "dialTimeout": "10",
            "queryTimeout": "60",
        }
        content = {
            "uid": DATASOURCE,
            "name": "Pravah",
            "type": PLUGIN,
            "access": "proxy",
            "isDefault": True,
            "jsonData": data,
        }
        return Resource(
            "datasource",
            DATASOURCE,
            content,
            {"password": self.account.password.get_secret_value()},
        )

    def _prometheus(self) -> Resource:
        content = {
            "uid": PROMETHEUS,
            "name": "Pravah Prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": self.prometheus,
            "jsonData": {"httpMethod": "POST"},
        }
        return Resource("datasource", PROMETHEUS, content)


def rules(team: str) -> dict[str, Any]:
    """A team's group of alert rules; the number of the organisation, which the library writes as 0, is Grafana's to give."""
    content = build.plain(group(team))
    for rule in content["rules"]:
        del rule["orgID"]
    return content
