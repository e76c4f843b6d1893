"""Each role's tree has all that the role needs: its process becomes ready in it, as a user without rights."""

import pytest

from bench.roles import ROLES, smoke


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_a_roles_own_tree_starts_it(role: str) -> None:
    seen = smoke(role)
    assert seen.mib > seen.resident_mib > 0
