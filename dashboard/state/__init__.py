"""What the reviewer is looking at; every view draws from here.

A `Session` holds its parts, each of which draws only on those before it::

    status      the status line                                         Status
    verdicts    the survey's table, who decides, what was decided       Verdicts
    labels      limits beyond which labels are outliers                 Labels
    queue       which stars, in what order                              Queue
    screen      the star on screen                                      Screen
    answers     what is worked out about it in the background           Answers

`SurveyData` (data.py) is what all sessions on one survey share; `finding` works answers out.
"""

from dashboard.state.answers import Answers
from dashboard.state.data import Star, SurveyData, shared_data
from dashboard.state.finding import CoAdded, Explained, Matched, Solution
from dashboard.state.labels import Labels
from dashboard.state.queue import Queue
from dashboard.state.screen import Screen
from dashboard.state.session import Session
from dashboard.state.status import Status
from dashboard.state.verdicts import News, Verdicts

__all__ = [
    "Answers",
    "CoAdded",
    "Explained",
    "Labels",
    "Matched",
    "News",
    "Queue",
    "Screen",
    "Session",
    "Solution",
    "Star",
    "Status",
    "SurveyData",
    "Verdicts",
    "shared_data",
]
