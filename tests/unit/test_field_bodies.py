"""Bodies as the tools document them become the events that a person worked out by hand.

A body that cannot become an event is refused with the reason.
"""

import pytest

from producers.mapping.form_mapper import UnmappableError
from producers.mapping.tools import BodyError, Tool
from tests.support.field_bodies.case import Case
from tests.support.field_bodies.corpora import CORPORA, map_case, read_submissions


@pytest.mark.parametrize(
    ("tool", "case"),
    [
        pytest.param(tool, case, id=f"{tool}: {case.title}")
        for tool, cases in CORPORA.items()
        for case in cases
    ],
)
def test_a_body_becomes_the_events_that_were_worked_out_by_hand(tool: Tool, case: Case) -> None:
    if case.error:
        with pytest.raises((BodyError, UnmappableError)) as caught:
            map_case(tool, case)
        assert case.error in str(caught.value)
        return
    assert map_case(tool, case) == case.events
    for submission in read_submissions(tool, case):
        state = {
            "form": submission.form,
            "name": submission.name,
            "changed_at": submission.changed_at.isoformat(),
            "deleted": submission.deleted,
        }
        assert {name: state[name] for name in case.state} == case.state


def test_each_tool_has_thirty_bodies_with_different_titles() -> None:
    for cases in CORPORA.values():
        assert len(cases) >= 30
        assert len({case.title for case in cases}) == len(cases)
