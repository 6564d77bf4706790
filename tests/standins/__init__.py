"""Stand-ins for the servers of field tools: they answer as the tools' documentation and sources say, over HTTP on 127.0.0.1.

Each keeps its submissions itself and says what stands (`standing`), so that what reached the figures can be held against it. Time is a clock that the test moves.
"""

from standins.commcare import CommCare
from standins.kobo import Kobo
from standins.odk import Odk
from standins.server import Answers, Clock, Standing

__all__ = ["Answers", "Clock", "CommCare", "Kobo", "Odk", "Standing"]
