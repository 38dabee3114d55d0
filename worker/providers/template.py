"""Templates of a gateway preset: text with slots, whose values are escaped for their place.

Rules:
- `{name}` is a slot, `{{` and `}}` are braces.
- The value of a slot is data, and nothing in a message can change the request around it. A value is
  escaped for every format around it, from the inside out: JSON in a form field is escaped as JSON,
  then as a form. The beginning of a template shows its format.
- A template is refused if a value could not be separated from the text around it
  (`Template.check`). In plain text a value from a message must be the only content.
- In an address a slot is a part of one step or of one query value. A step that becomes empty or
  dots is refused, because it changes the path. `base_url` and `report_base_url` come from the
  settings and are inserted as they are.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from worker.providers.preset_formats import ENCODERS, EXPECTED, Format, begun, contents
from worker.settings.addresses import has_dots

if TYPE_CHECKING:
    from collections.abc import Iterator

Encode = Callable[[str], str]

DIGITS: Final = frozenset({"epoch", "coding", "valid_for_s", "valid_for_min"})
"""Slots with digits only. They need no escaping, and no quotes in JSON."""
_WORDS: Final = frozenset({"text", "sender_id"})
"""Slots with text that people wrote."""
_OF_MESSAGE: Final = _WORDS | {"message_id"}
_ADDRESSES: Final = frozenset({"base_url", "report_base_url"})
_STRUCTURE: Final = re.compile(r'%[0-9A-Fa-f]{2}|[{}\[\]<>"=&|;\\\t\r\n]')
_FIRST_MARK: Final = 0xF0000
"""Private characters mark the slots in a sample."""
_MARK: Final = re.compile("([\U000f0000-\U000ffffd])")


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    parts: tuple[tuple[str, str | None], ...]
    """Literal text, then the slot after it (None at the end)."""
    _known: dict[tuple[Format | None, frozenset[str]], tuple[Encode, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The result of `check`, computed once and not for every message."""

    @classmethod
    def parse(cls, source: str) -> Template:
        """Parse a template.

        Raises:
            ValueError: a brace has no partner, or a slot has more than a name.
        """
        if _MARK.search(source):
            raise ValueError("expected text without private characters")
        parts = []
        for literal, slot, spec, conversion in string.Formatter().parse(source):
            if slot is not None and (not slot or spec or conversion):
                raise ValueError(f"{source!r}: expected '{{name}}', got '{{{slot}...}}'")
            parts.append((literal, slot))
        return cls(tuple(parts))

    @property
    def source(self) -> str:
        """The template as it is written, with single braces."""
        return "".join(f"{text}{{{slot}}}" if slot else text for text, slot in self.parts)

    @property
    def literal(self) -> str:
        """The text around the slots."""
        return "".join(text for text, _ in self.parts)

    @property
    def format(self) -> Format:
        """The format of the template, by its beginning."""
        return begun(self.parts[0][0]) if self.parts else "text"

    def slots(self) -> frozenset[str]:
        """The names that the template needs."""
        return frozenset(slot for _, slot in self.parts if slot is not None)

    def check(
        self, form: Format | None = None, digits: frozenset[str] = DIGITS
    ) -> tuple[Encode, ...]:
        """Check that no value of a slot can change the text around it.

        Args:
            form: the format; default: by the beginning of the template.
            digits: slots with digits only.

        Returns:
            How the value of each slot is escaped.

        Raises:
            ValueError: a value could change it, or this cannot be decided.
        """
        encoders = _encoders(self, form, digits) if form else _by_beginning(self, digits)
        self._known[form, digits] = encoders
        return encoders

    def render(
        self,
        values: Mapping[str, str],
        form: Format | None = None,
        digits: frozenset[str] = DIGITS,
    ) -> str:
        """Fill the slots; arguments as in `check`.

        Raises:
            ValueError: a format cannot carry a value.
        """
        return self._joined(self._escaped(values, form, digits))

    def render_address(
        self, values: Mapping[str, str], percent: str = "%", digits: frozenset[str] = DIGITS
    ) -> str:
        """Fill an address.

        Args:
            values: the values of the slots.
            percent: how a percent sign of our encoding is written; `%%` for a gateway that expands
                its own escapes in the address.
            digits: slots with digits only.

        Raises:
            ValueError: a step would be empty or dots.
        """
        escaped = self._escaped(values, "address", digits)
        address = self._joined(escaped)
        path = address.partition("?")[0]
        if has_dots(path):
            raise ValueError("expected an address without the steps '.' and '..'")
        full = [each or slot or "" for each, (_, slot) in zip(escaped, self.parts, strict=True)]
        if full != escaped and _empty(path) > _empty(self._joined(full).partition("?")[0]):
            raise ValueError("expected something in every step of the address, got an empty one")
        if percent == "%":
            return address
        return self._joined(
            [
                each if slot in _ADDRESSES else each.replace("%", percent)
                for each, (_, slot) in zip(escaped, self.parts, strict=True)
            ]
        )

    def _escaped(
        self, values: Mapping[str, str], form: Format | None, digits: frozenset[str]
    ) -> list[str]:
        """The value of each slot, escaped for its place."""
        encoders = self._known.get((form, digits)) or self.check(form, digits)
        return [
            encode(values[slot]) if slot is not None else ""
            for encode, (_, slot) in zip(encoders, self.parts, strict=True)
        ]

    def _joined(self, filled: list[str]) -> str:
        return "".join(
            literal + each for (literal, _), each in zip(self.parts, filled, strict=True)
        )

    def is_empty(self, values: Mapping[str, str]) -> bool:
        """Whether it has slots and all are empty, so that its field is left out."""
        slots = self.slots()
        return bool(slots) and not any(values[slot] for slot in slots)


def _empty(path: str) -> int:
    return path.split("/").count("")


def _encoders(template: Template, form: Format, digits: frozenset[str]) -> tuple[Encode, ...]:
    """Find out how the value of each slot is escaped.

    A sample with a mark for every slot is read in its format. The texts with marks in the result
    are templates again.

    Raises:
        ValueError: a mark is missing, or a value could not be separated from the text around it.
    """
    if form == "text":
        _check_plain(template)
        return (str,) * len(template.parts)
    harmless = digits | (_ADDRESSES if form == "address" else frozenset())
    encoders: dict[int, Encode] = {
        place: str for place, (_, slot) in enumerate(template.parts) if not slot or slot in harmless
    }
    try:
        read = contents(_sample(template, encoders), form)
    except ValueError as error:
        raise ValueError(f"expected {EXPECTED[form]}: {error}") from error
    for content in read:
        encoders.update(_within(content, template, ENCODERS[form], digits))
    if len(encoders) < len(template.parts):
        raise ValueError(f"expected {EXPECTED[form]}")
    return tuple(encoders[place] for place in range(len(template.parts)))


def _sample(template: Template, harmless: Mapping[int, Encode]) -> str:
    def filled(place: int, slot: str | None) -> str:
        if slot is None:
            return ""
        if place not in harmless:
            return chr(_FIRST_MARK + place)
        return "http://host" if slot in _ADDRESSES else "1"

    return "".join(
        literal + filled(place, slot) for place, (literal, slot) in enumerate(template.parts)
    )


def _within(
    content: str, template: Template, outer: Encode, digits: frozenset[str]
) -> Iterator[tuple[int, Encode]]:
    """The escapes for a text inside a document: first for the text, then for the document."""
    *pairs, last = _MARK.split(content)
    places = [ord(mark) - _FIRST_MARK for mark in pairs[1::2]]
    slots = [template.parts[place][1] for place in places]
    inner = Template((*zip(pairs[::2], slots, strict=True), (last, None)))
    encoders = _by_beginning(inner, digits)[:-1] if places else ()
    for place, encode in zip(places, encoders, strict=True):
        yield place, outer if encode is str else _both(encode, outer)


def _both(inner: Encode, outer: Encode) -> Encode:
    return lambda value: outer(inner(value))


def _by_beginning(template: Template, digits: frozenset[str]) -> tuple[Encode, ...]:
    """The escapes for a text whose format is not given."""
    try:
        return _encoders(template, template.format, digits)
    except ValueError:
        if template.slots() & _OF_MESSAGE:
            raise
        return (str,) * len(template.parts)  # `[{to}]` is no JSON, but harmless


def _check_plain(template: Template) -> None:
    slots = [slot for _, slot in template.parts if slot]
    of_message = [slot for slot in slots if slot in _OF_MESSAGE]
    if not of_message:
        return
    if len(of_message) > 1 or (len(slots) > 1 and of_message[0] in _WORDS):
        raise ValueError(f"expected {{{of_message[0]}}} as the only slot in plain text")
    if match := _STRUCTURE.search(template.literal):
        raise ValueError(f"expected plain text around {{{of_message[0]}}}, got {match[0]!r}")


def render_fields(
    fields: Mapping[str, Template], values: Mapping[str, str], digits: frozenset[str] = DIGITS
) -> dict[str, str]:
    """Fill all fields; empty ones are left out."""
    return {
        name: template.render(values, digits=digits)
        for name, template in fields.items()
        if not template.is_empty(values)
    }
