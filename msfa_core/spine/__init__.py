"""The spine: every step in the order of the paper, one file a step; ``run`` does them all."""

from msfa_core.spine.run import run

__all__ = ["run"]
