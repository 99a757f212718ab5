"""Every two choices meet, in no more cases than their two longest need."""

from itertools import combinations

import pytest

from sync_assets_tests.pairs import every_pair


@pytest.mark.parametrize("sizes", [(4, 2, 2), (3, 2, 2), (2, 2, 2), (3, 3, 3), (5, 4)], ids=str)
def test_every_two_values_meet_and_few_cases_do(sizes: tuple[int, ...]) -> None:
    choices = [[f"{name}{n}" for n in range(size)] for name, size in zip("abc", sizes, strict=False)]
    cases = every_pair(*choices)
    for one, other in combinations(range(len(choices)), 2):
        assert {(case[one], case[other]) for case in cases} == {(a, b) for a in choices[one] for b in choices[other]}
    first, second = sorted(sizes, reverse=True)[:2]
    assert len(cases) <= first * second + 1
