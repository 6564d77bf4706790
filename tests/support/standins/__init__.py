"""Stand-ins for the servers of field tools, over HTTP on 127.0.0.1.

They behave as the tools' documentation and sources say. Each holds its submissions
(`current_submissions`), so that tests can compare the figures with them. Tests set the clock.
"""

from tests.support.standins.commcare import CommCare
from tests.support.standins.kobo import Kobo
from tests.support.standins.odk import Odk
from tests.support.standins.server import Answers, Clock, CurrentSubmission

__all__ = ["Answers", "Clock", "CommCare", "CurrentSubmission", "Kobo", "Odk"]
