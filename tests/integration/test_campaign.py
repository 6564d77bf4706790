"""A deployment gets what a simulated campaign has, and keeps what is its own."""

from datetime import date, timedelta

from operations import campaign
from operations.campaign import AUTHOR, install_campaign, install_contacts
from pravah.days import KOLKATA, end_of_day
from producers.simulator import SimulationOptions
from producers.simulator.scenario import is_around
from reference.defaults import default_plan
from schemas.contacts import FICTIONAL_PREFIX, Contact
from sinks.control_room import load_contacts, milestone_progress
from sinks.migrate import Schema
from sinks.plan import load_plan, loaded_by
from tests.support import small_world
from tests.support.deployment import Deployment

TODAY = end_of_day(None).astimezone(KOLKATA).date()


def options(last: date) -> SimulationOptions:
    return SimulationOptions(first=last - timedelta(days=120), last=last, events=1_000)


def person(phone: str) -> Contact:
    return Contact(unit="CG", role="in-charge", name="A", phone=phone, language="hi")


def test_a_campaign_gets_a_plan_of_its_days_and_persons_but_replaces_nothing_of_ones_own(
    deployment: Deployment,
) -> None:
    client, settings = deployment.clickhouse, deployment.settings
    schema = Schema(settings.clickhouse.database, None)
    said: list[str] = []

    def install(last: date) -> campaign.Campaign:
        return install_campaign(settings, options(last), said.append, small_world.registry())

    assert not install(date(2022, 7, 31)).is_dated
    assert loaded_by(client, "CG") != AUTHOR, "the plan of 2022 stays for a campaign of 2022"
    made = install(TODAY)
    assert is_around(made.plan, TODAY)
    assert loaded_by(client, "CG") == AUTHOR
    progress = milestone_progress(client, "CG", end_of_day(None))
    assert {one.deadline for one in progress} == {one.deadline for one in made.plan.milestones}
    assert sum(one.overdue for one in progress) > 0
    assert sum(one.due for one in progress) > 0
    assert install(TODAY + timedelta(days=1)).plan == made.plan, "deadlines do not move each day"
    later = install(TODAY + timedelta(days=20)).plan
    assert later != made.plan
    assert is_around(later, TODAY + timedelta(days=20))

    install(date(2022, 7, 31))
    progress = milestone_progress(client, "CG", end_of_day(None))
    assert {one.deadline.year for one in progress} == {2022}, "back to the plan of 2022"

    made_up = person(f"{FICTIONAL_PREFIX}000000001")
    other = made_up.model_copy(update={"unit": "CG-D-A"})
    install_contacts(settings, [made_up], said.append)
    install_contacts(settings, [made_up, other], said.append)
    phones = client.execute("SELECT unit, phone FROM contacts ORDER BY unit")
    assert phones == [
        ("CG", f"{FICTIONAL_PREFIX}000000001"),
        ("CG-D-A", f"{FICTIONAL_PREFIX}000000002"),
    ], "those of an earlier campaign stay"
    load_contacts(client, schema, [person("+919876543210")])
    install_contacts(settings, [person(f"{FICTIONAL_PREFIX}000000003")], said.append)
    assert client.execute("SELECT phone FROM contacts") == [("+919876543210",)]
    assert "contacts: the deployment's own stay" in said

    own = default_plan().model_copy(update={"milestones": default_plan().milestones[:3]})
    load_plan(client, schema, own, author="Asha", reason="ours")
    install(TODAY)
    assert loaded_by(client, "CG") == "Asha"
    assert said[-1].startswith("plan of CG: that of Asha stays in force")
