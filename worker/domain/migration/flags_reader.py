"""Takes fields out of a flags document and collects problems instead of raising.

Rules: no document can make it raise. A problem names its field, the expected value and the given
value, in bounded length.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from worker.domain.migration.overrides import LONGEST_USER, MAX_OVERRIDES, look
from worker.domain.migration.provider_names import role_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from worker.domain.migration.phases import Role

_LONGEST_SHOWN: Final = 200
_EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})


class FlagsReader:
    """Takes fields out of sections and collects problems instead of raising."""

    def __init__(self, target_id: str, legacy_id: str) -> None:
        self.problems: list[str] = []
        self._ids = (target_id, legacy_id)
        self._sections: list[tuple[str, dict[str, Any]]] = []

    def section(self, parent: dict[str, Any], name: str) -> dict[str, Any]:
        """Take a section; empty if it is absent."""
        value = parent.pop(name, {})
        if not isinstance(value, dict):
            self.problems.append(f"{name}: expected an object, got {_shown(value)}")
            value = {}
        rest = dict(value)
        self._sections.append((name, rest))
        return rest

    def nothing_left(self) -> None:
        """Report every field that was not taken."""
        for section, rest in self._sections:
            self.problems.extend(f"{section}.{name}: unknown field" for name in rest)

    def boolean(self, section: dict[str, Any], name: str, *, default: bool) -> bool:
        """Take true or false."""
        value = section.pop(name, default)
        return bool(self._expect(isinstance(value, bool), name, "true or false", value, default))

    def number(
        self, section: dict[str, Any], name: str, default: float, low: float, high: float
    ) -> float:
        """Take a number within bounds."""
        value = section.pop(name, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        fits = fits and low <= value <= high
        return float(self._expect(fits, name, f"a number from {low:g} to {high:g}", value, default))

    def integer(self, section: dict[str, Any], name: str, default: int, allowed: range) -> int:
        """Take a whole number within bounds."""
        value = section.pop(name, default)
        fits = isinstance(value, int) and not isinstance(value, bool) and value in allowed
        expected = f"a whole number from {allowed.start} to {allowed.stop - 1}"
        return int(self._expect(fits, name, expected, value, default))

    def integers(
        self, section: dict[str, Any], name: str, default: tuple[int, ...], allowed: range
    ) -> tuple[int, ...]:
        """Take a list of whole numbers within bounds."""
        value = section.pop(name, list(default))
        fits = isinstance(value, list) and all(type(v) is int and v in allowed for v in value)
        expected = f"a list of whole numbers from {allowed.start} to {allowed.stop - 1}"
        return tuple(self._expect(fits, name, expected, value, default))

    def choice(
        self, section: dict[str, Any], name: str, default: str, allowed: Iterable[str]
    ) -> str:
        """Take one of some words."""
        value, words = section.pop(name, default), [str(each) for each in allowed]
        return str(self._expect(value in words, name, " or ".join(words), value, default))

    def strings(self, section: dict[str, Any], name: str) -> tuple[str, ...]:
        """Take a list of strings."""
        value = section.pop(name, [])
        fits = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        return tuple(self._expect(fits, name, "a list of strings", value, ()))

    def roles(
        self, section: dict[str, Any], name: str, default: tuple[Role, ...]
    ) -> tuple[Role, ...]:
        """Take a list of providers, as roles."""
        value = section.pop(name, list(default))
        given = value if isinstance(value, list) else [None]
        roles = tuple(role for each in given if (role := role_named(each, *self._ids)))
        expected = f"a list of {' or '.join(self._ids)}"
        self._expect(len(roles) == len(given), name, expected, value, default)
        return roles

    def overrides(
        self, section: dict[str, Any], name: str, key: Callable[[str], Any]
    ) -> Mapping[Any, Role]:
        """Take overrides: a provider by user or branch, each key once."""
        value = section.pop(name, {})
        if not isinstance(value, dict) or len(value) > MAX_OVERRIDES:
            self._expect(False, name, f"an object of up to {MAX_OVERRIDES} entries", "it", {})  # noqa: FBT003 - the condition reads best as first argument
            return _EMPTY
        overrides: dict[Any, Role] = {}
        looks: dict[str, object] = {}
        for raw, provider in value.items():
            role = role_named(provider, *self._ids)
            if role is None:
                expected = " or ".join(self._ids)
                self._wrong(name, raw, f"expected {expected}, got {_shown(provider)}")
            elif (other := looks.setdefault(look(raw), raw)) != raw:
                self._wrong(name, raw, f"expected each once, looks like {_shown(other)}")
            else:
                try:
                    overrides[key(str(raw))] = role
                except ValueError as expected:
                    self._wrong(name, raw, f"expected {expected}, got {_shown(raw)}")
        return MappingProxyType(overrides)

    def _wrong(self, name: str, raw: object, problem: str) -> None:
        self.problems.append(f"{name}.{str(raw)[:LONGEST_USER]}: {problem}")

    def _expect(self, fits: bool, name: str, expected: str, got: Any, default: Any) -> Any:  # noqa: FBT001 - see overrides
        if not fits:
            self.problems.append(f"{name}: expected {expected}, got {_shown(got)}")
            return default
        return got


def _shown(value: object) -> str:
    """A value as a problem shows it, in bounded length."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "what cannot be shown"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
