"""Checks of a deployment: is it fit for exact figures, and how is each problem corrected?

`facts` gathers, once and without changing anything; `rules` judges with pure functions. The package
may import everything but `cli`, which prints the result. Start reading at `rules/__init__.py`.
"""

from doctor.facts import Facts, gather
from doctor.rules import RULES, Check, diagnose

__all__ = ["RULES", "Check", "Facts", "diagnose", "gather"]
