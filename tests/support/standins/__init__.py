"""Stand-ins for the servers of field tools: they answer as the tools' documentation and sources say, over HTTP on 127.0.0.1.

Each keeps its submissions itself and says what stands (`standing`), so that what reached the figures can be held against it. Time is a clock that the test moves.
"""

from tests.support.standins.commcare import CommCare
from tests.support.standins.kobo import Kobo
from tests.support.standins.odk import Odk
from tests.support.standins.server import Answers, Clock, Standing

__all__ = ["Answers", "Clock", "CommCare", "Kobo", "Odk", "Standing"]
