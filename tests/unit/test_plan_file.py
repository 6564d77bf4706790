"""The plan's file format: what it takes, and that it tells everything that is wrong at once."""

import pytest

from pravah.days import day_of
from schemas.plan import Plan, PlanError

MILESTONE = """
[[milestone]]
milestone = "booth_trained"
level = "booth"
name_en = "Booth in-charges trained"
name_hi = "बूथ प्रभारी प्रशिक्षित"
deadline = 2022-06-15
responsible = "assembly in-charge"
responsible_hi = "प्रभारी"
needs = [{ kind = "training_held", where = { programme = ["incharge"] }, names_unit = true }]
"""


def changed(**lines: str) -> str:
    """The milestone with some of its lines written otherwise."""
    kept = [line for line in MILESTONE.splitlines() if line.split(" = ")[0] not in lines]
    return "\n".join(
        ['state = "CG"', *kept, *(f"{name} = {value}" for name, value in lines.items())]
    )


def findings(text: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        Plan.from_toml(text)
    return caught.value.findings


def test_a_deadline_is_a_day_and_what_occurs_on_it_is_on_time() -> None:
    (milestone,) = Plan.from_toml(changed()).milestones
    assert milestone.deadline_day == day_of(milestone.deadline)
    assert milestone.deadline.isoformat() == "2022-06-15"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({"level": '"village"'}, "level: Input should be 'national', 'state'"),
        ({"deadline": '"15 June"'}, "deadline"),
        ({"deadline": "2022-06-15T00:00:00Z"}, "deadline"),
        ({"deadlin": "2022-06-15"}, "deadlin: Extra inputs"),
        ({"needs": "[]"}, "needs"),
        ({"needs": '[{ kind = "rally_held" }]'}, "needs.0.kind"),
        (
            {"needs": '[{ kind = "messaging_group", where = { group_type = ["signal"] } }]'},
            "where.group_type: messaging_group can never have 'signal'",
        ),
        (
            {"needs": '[{ kind = "messaging_group", where = { platform = ["whatsapp"] } }]'},
            "where.platform: messaging_group has no such field",
        ),
        ({"needs": '[{ kind = "messaging_group", names_unit = true }]'}, "names_unit"),
        (
            {"prerequisites": '["booth_appointed"]'},
            "prerequisite 'booth_appointed' is no milestone",
        ),
        ({"prerequisites": '["booth_trained"]'}, "lead back to itself"),
    ],
)
def test_a_wrong_milestone_is_refused_with_its_name_and_what_is_wrong(
    lines: dict[str, str], expected: str
) -> None:
    found = findings(changed(**lines))
    assert any("booth_trained" in finding and expected in finding for finding in found), found


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    found = findings(
        changed(level='"village"')
        + MILESTONE.replace("booth_trained", "a").replace('"incharge"', "7")
        + MILESTONE
        + MILESTONE
        + "\n[colour]\n"
    )
    assert any("level" in finding for finding in found)
    assert any("programme" in finding for finding in found)
    assert any("listed twice" in finding for finding in found)
    assert any("colour" in finding for finding in found)


def test_a_circle_of_prerequisites_is_found() -> None:
    first = MILESTONE + 'prerequisites = ["second"]\n'
    second = MILESTONE.replace("booth_trained", "second") + 'prerequisites = ["booth_trained"]\n'
    assert (
        len(
            [
                finding
                for finding in findings('state = "CG"' + first + second)
                if "lead back" in finding
            ]
        )
        == 2
    )


@pytest.mark.parametrize(
    "text", ["", 'state = "CG"', "state = ", 'state = "Chhattisgarh"' + MILESTONE, MILESTONE]
)
def test_a_file_that_is_no_plan_is_refused(text: str) -> None:
    assert findings(text)
