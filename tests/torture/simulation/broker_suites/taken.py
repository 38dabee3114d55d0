"""Takes the tests and fixtures of a module of the real broker, for the simulated one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

_FIXTURE = type(pytest.fixture(lambda: None))


def suite_of(module: ModuleType, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the tests and fixtures of a module by name.

    Args:
        module: of `tests.integration`.
        without: names that are left out, for what is not simulated.
    """
    missing = [name for name in without if not hasattr(module, name)]
    assert not missing, f"{module.__name__} has no {missing[0]}"
    found = {name: value for name, value in vars(module).items() if name not in without}
    tests = {name: value for name, value in found.items() if name.startswith("test_")}
    fixtures = {name: _own(value) for name, value in found.items() if isinstance(value, _FIXTURE)}
    mark = pytest.mark.asyncio(loop_scope="function")
    return {**tests, **fixtures, "pytestmark": [mark, pytest.mark.usefixtures("empty_queues")]}


def _own(fixture: Any) -> Any:
    """Return a fixture of the same function on the loop of its test."""
    return pytest_asyncio.fixture(loop_scope="function")(fixture._get_wrapped_function())
