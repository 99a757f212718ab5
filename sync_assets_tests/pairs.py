"""Fewer cases than all combinations of some choices.

Promise: every two values of different choices meet in one case at least. What breaks in a combination nearly always
breaks by two of its values; all combinations of three choices cost twice as much for the rest.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any


def every_pair(*choices: Sequence[Any]) -> list[tuple[Any, ...]]:
    """For `parametrize`, of two choices or more. The same cases in the same order whenever it is asked."""
    cases = list(product(*(range(len(values)) for values in choices)))
    met = {case: set(combinations(enumerate(case), 2)) for case in cases}
    missing = set().union(*met.values())
    found = []
    while missing:
        best = max(cases, key=lambda case: len(met[case] & missing))
        missing -= met[best]
        found.append(tuple(values[i] for values, i in zip(choices, best, strict=True)))
    return found
