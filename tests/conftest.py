"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A test never fails for its time: how long an example takes says more of the machine than of us.
# Every run tries the same examples, so that what fails here fails everywhere.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
