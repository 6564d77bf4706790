"""Resources that a Grafana should have for an audience. Pure: others apply or write them."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from grafana import audiences, build
from grafana.alerts import CONTROL_ROOM, DATASOURCE, FOLDER, OPERATIONS, rule_group
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
from grafana.language import in_language
from grafana.notifications import (
    MESSAGE,
    NIGHT,
    TEMPLATE,
    Contacts,
    contact_points,
    mute_timing,
    policy,
)
from pravah.languages import Lang
from pravah.settings import ClickHouseSettings, ClickHouseUser
from schemas.scopes import name_database

AudienceName: TypeAlias = audiences.AudienceName
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
    """Viewers who share an organisation in Grafana.

    Audiences need separate organisations, since a viewer can send any query to a data source.
    """

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
        "प्रवाह: ज़िला · Pravah: district",
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
    """An object in Grafana."""

    kind: Kind
    uid: str
    content: dict[str, Any]
    secret: dict[str, str] | None = None
    """Secrets of a data source, which Grafana does not return."""

    def __repr__(self) -> str:
        """Kind and uid; the content may have a secret."""
        return f"{self.kind} {self.uid}"


@dataclass(frozen=True)
class DesiredState:
    """Resources that one organisation of a Grafana should have."""

    audience: AudienceName
    clickhouse: ClickHouseSettings
    """Where Grafana connects to."""
    account: ClickHouseUser
    """Account of the data source; it decides which rows viewers see."""
    contacts: Contacts = field(default_factory=Contacts)
    prometheus: str | None = None
    """Address of a Prometheus that scrapes workers and gateway."""
    lang: Lang = "both"
    """Language of the dashboards."""

    def resources(self) -> list[Resource]:
        """All objects, in an order in which they can be created."""
        audience = AUDIENCES[self.audience]
        built = build.dashboards()
        found = [self._clickhouse(), *([self._prometheus()] if self.prometheus else [])]
        found.append(Resource("folder", FOLDER, {"uid": FOLDER, "title": audience.title}))
        found += [
            Resource("dashboard", uid, in_language(built[uid], self.lang))
            for uid in audience.dashboards
        ]
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
        clickhouse = self.clickhouse
        data = {
            "host": clickhouse.host,
            "server": clickhouse.host,  # name of `host` before version 4 of the plugin
            "port": clickhouse.native_port,
            "protocol": "native",
            "secure": clickhouse.secure,
            "username": self.account.user,
            "defaultDatabase": self._database(),
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

    def _database(self) -> str:
        """The database of the account: that of its unit if it has one."""
        for unit, account in self.clickhouse.scoped.items():
            if account == self.account:
                return name_database(unit, self.clickhouse.database)
        return self.clickhouse.database

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
    """A team's group of alert rules, without the organisation's number: Grafana assigns it."""
    content = build.to_json(rule_group(team))
    for rule in content["rules"]:
        del rule["orgID"]
    return content
