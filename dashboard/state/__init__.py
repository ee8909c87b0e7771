"""What the reviewer is looking at; every view draws from here.

Each class adds one theme to the one before it::

    Words       the status line                             words.py
    Table       candidates with their verdicts of record    table.py
    Labels      limits beyond which labels are outliers     labels.py
    Queue       which stars, in what order                  queue.py
    Screen      the star on screen                          screen.py
    Questions   what is answered in the background          questions.py
    VettingState    verdicts; the whole session             session.py

`SurveyData` (data.py) is what all sessions on one survey share.
"""

from dashboard.state.answers import CoAdded, Explained, Matched, Solution
from dashboard.state.data import Star, SurveyData, shared_data
from dashboard.state.session import News, VettingState

__all__ = [
    "CoAdded",
    "Explained",
    "Matched",
    "News",
    "Solution",
    "Star",
    "SurveyData",
    "VettingState",
    "shared_data",
]
