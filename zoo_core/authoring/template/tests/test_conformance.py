"""Everything that the zoo asks of a family; each check says what it is for."""

from zoo_core.testing import parametrize_with_checks


@parametrize_with_checks("zoo-my-family")
def test_conformance(check):
    check()
