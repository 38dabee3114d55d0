"""Takes the tests and fixtures of a module of the real broker, for the simulated one."""

from __future__ import annotations

from types import FunctionType
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
    """Return a fixture of the same code on the loop of its test.

    Of a copy of its function: the decorator notes the loop on the function itself, and the one of
    the real broker must keep its own.
    """
    real = fixture._get_wrapped_function()
    copy = FunctionType(
        real.__code__, real.__globals__, real.__name__, real.__defaults__, real.__closure__
    )
    copy.__kwdefaults__ = real.__kwdefaults__
    return pytest_asyncio.fixture(loop_scope="function")(copy)
