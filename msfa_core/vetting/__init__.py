"""Decisions: how they are stored, what they add up to, which stars to look at."""
