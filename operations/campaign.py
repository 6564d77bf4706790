"""Give a deployment what a simulated campaign has: a plan of its days, a split, persons to call.

Only what came with Pravah, or with an earlier simulation, is replaced: a plan, a registry or
contacts of somebody's own stay as they are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from random import Random

from clickhouse_driver import Client

import reference
from operations.registry import (
    apply_change,
    current_registry,
    preview_change,
)
from operations.registry_files import read_registry_files
from pravah.settings import Settings
from producers.simulator import SimulationOptions
from producers.simulator.persons import number_persons
from producers.simulator.scenario import (
    USUAL,
    Paces,
    date_plan,
    draw_paces,
    is_around,
    is_dated_for,
    split_district,
)
from reference.defaults import default_plan
from schemas.contacts import Contact
from schemas.plan import Plan
from schemas.registry import Registry
from sinks.connection import connect
from sinks.control_room import all_contacts, load_contacts
from sinks.migrate import Schema
from sinks.plan import load_plan, loaded_by, loaded_deadlines

# Who loaded a plan, in its history.
AUTHOR, _BOOTSTRAP = "pravah simulate", "pravah"
# A comparison of all figures may take minutes.
_QUERY_SECONDS = 3_600
_CLOSING_SECONDS = 15.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Campaign:
    """What a campaign is simulated with."""

    registry: Registry
    plan: Plan
    paces: Paces
    is_dated: bool
    """Whether the plan is dated around the campaign's last day; else it is that of its file."""


def make_campaign(
    registry: Registry, options: SimulationOptions, plan: Plan | None = None
) -> Campaign:
    """Choose the plan of a campaign, and which districts are ahead, behind and silent in it.

    Args:
        registry: the units.
        options: of the simulation.
        plan: instead of the plan that comes with Pravah, which is dated around the campaign's last
            day if it is of another year.
    """
    usual = plan or default_plan()
    if plan is not None or is_dated_for(usual, options.last):
        return Campaign(registry, usual, USUAL, is_dated=False)
    state = options.state or usual.state
    dated = date_plan(usual, options.first, options.last).model_copy(update={"state": state})
    # of the campaign as a whole, whatever the shares of faults in it
    rng = Random(f"{options.seed} {state}")  # noqa: S311
    paces = draw_paces(registry, state, options.first, options.last, rng)
    return Campaign(registry, dated, paces, is_dated=True)


def install_campaign(
    settings: Settings,
    options: SimulationOptions,
    report: Report,
    registry: Registry | None = None,
) -> Campaign:
    """Choose a campaign for a deployment, and put its plan and its split in force there.

    Args:
        settings: of the deployment.
        options: of the simulation.
        report: called with one line for each thing that was done.
        registry: the units; by default those of the deployment, in which a district then splits.

    Raises:
        LookupError: no registry is loaded, or figures differ from the ledger.
        RegistryConflictError: another registry was loaded at the same time.
    """
    units = registry or current_registry(settings)
    campaign = make_campaign(units, options)
    if "writer" not in settings.clickhouse.users:
        if campaign.is_dated:
            report("no ClickHouse is known here: the campaign's plan and split are not loaded")
        return campaign
    if not campaign.is_dated:
        with connect(settings.clickhouse, "writer") as client:
            if loaded_by(client, campaign.plan.state) == AUTHOR:
                _load(settings, client, campaign.plan, options.last, report)
        return campaign
    with connect(settings.clickhouse, "writer", send_receive_timeout=_QUERY_SECONDS) as client:
        if registry is None:
            units = _split(settings, client, units, options, report)
            campaign = make_campaign(units, options)
        plan = _put_in_force(settings, client, campaign.plan, options.last, report)
    return replace(campaign, plan=plan)


def install_contacts(settings: Settings, contacts: Iterable[Contact], report: Report) -> None:
    """Add made-up contacts to those of earlier campaigns, unless the deployment has its own.

    Args:
        settings: of the deployment.
        contacts: made-up ones.
        report: called with one line.
    """
    with connect(settings.clickhouse, "writer") as client:
        known = all_contacts(client)
        if not all(one.is_made_up for one in known):
            report("contacts: the deployment's own stay")
            return
        offices = {(one.unit, one.role) for one in known}
        new = [one for one in contacts if (one.unit, one.role) not in offices]
        made_up = [*known, *number_persons(new, len(known) + 1)]
        load_contacts(client, _schema(settings), made_up)
    report(f"contacts: {len(made_up):,} made-up persons; their numbers, +91 0…, can be nobody's")


def _split(
    settings: Settings,
    client: Client,
    registry: Registry,
    options: SimulationOptions,
    report: Report,
) -> Registry:
    """Have a district split, if the registry is the one that comes with Pravah."""
    own = read_registry_files(reference.registry_files())
    if registry.fingerprint() != own.fingerprint():
        return registry
    state = options.state or default_plan().state
    following = split_district(registry, state, options.first, options.last)
    new = next((code for code in following.units if code not in registry.units), None)
    if new is None:
        return registry
    change = preview_change(
        settings, client, registry, following, wait=_CLOSING_SECONDS, report=report
    )
    reason = "a simulated campaign in which a district splits"
    apply_change(settings, client, change, reason=reason, author=AUTHOR, report=_ignore)
    unit = following.units[new]
    report(f"registry: {new} {unit.name_en} splits off")
    return following


def _put_in_force(
    settings: Settings, client: Client, plan: Plan, last: date, report: Report
) -> Plan:
    """Load a plan; return the one that is followed, which may be that of an earlier simulation."""
    author = loaded_by(client, plan.state)
    if author not in {None, AUTHOR, _BOOTSTRAP}:
        report(f"plan of {plan.state}: that of {author} stays in force, not followed here")
        return plan
    if author == AUTHOR:
        deadlines = loaded_deadlines(client, plan.state)
        milestones = tuple(
            one.model_copy(update={"deadline": deadlines.get(one.milestone, one.deadline)})
            for one in plan.milestones
        )
        earlier = plan.model_copy(update={"milestones": milestones})
        if is_around(earlier, last):
            return earlier
    _load(settings, client, plan, last, report)
    return plan


def _load(settings: Settings, client: Client, plan: Plan, last: date, report: Report) -> None:
    reason = f"a simulated campaign up to {last}"
    load_plan(client, _schema(settings), plan, author=AUTHOR, reason=reason)
    days = [one.deadline for one in plan.milestones]
    report(f"plan of {plan.state}: deadlines from {min(days)} to {max(days)}")


def _schema(settings: Settings) -> Schema:
    return Schema(settings.clickhouse.database, settings.clickhouse.cluster)


def _ignore(_text: str) -> None: ...
