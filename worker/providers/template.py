"""Templates of a gateway preset: text with slots, encoded for the place where it stands.

Rules: `{name}` is a slot, `{{` and `}}` are braces. What a slot holds is data: each place has its
own encoder, so nothing in a message can change the request around it. `base_url` and
`report_base_url` come from the settings and stand in addresses as they are.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

Encode = Callable[[str], str]

_ADDRESSES: Final = frozenset({"base_url", "report_base_url"})


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    parts: tuple[tuple[str, str | None], ...]
    """Literal text, then the slot after it (None at the end)."""

    @classmethod
    def parse(cls, source: str) -> Template:
        """Parse a template.

        Raises:
            ValueError: a brace without its partner, or a slot with more than a name.
        """
        parts = []
        for literal, slot, spec, conversion in string.Formatter().parse(source):
            if slot is not None and (not slot or spec or conversion):
                raise ValueError(f"{source!r}: expected '{{name}}', got '{{{slot}...}}'")
            parts.append((literal, slot))
        return cls(tuple(parts))

    def slots(self) -> frozenset[str]:
        """Names the template needs."""
        return frozenset(slot for _, slot in self.parts if slot is not None)

    def render(self, values: Mapping[str, str], encode: Encode = str) -> str:
        """Fill the slots; `encode` is applied to what they hold, never to the text around them."""
        return "".join(
            literal + (encode(values[slot]) if slot is not None else "")
            for literal, slot in self.parts
        )

    def render_address(self, values: Mapping[str, str], percent: str = "%") -> str:
        """Fill an address: each slot is one path segment or one query value.

        Args:
            values: what the slots hold.
            percent: how a percent sign of our encoding is written; `%%` for a gateway that expands
                escapes of its own in the address.
        """
        return "".join(
            literal + (_in_address(slot, values[slot], percent) if slot is not None else "")
            for literal, slot in self.parts
        )

    def is_empty(self, values: Mapping[str, str]) -> bool:
        """Whether it has slots and none holds anything: the field around it is left out."""
        slots = self.slots()
        return bool(slots) and not any(values[slot] for slot in slots)


def _in_address(slot: str, value: str, percent: str) -> str:
    if slot in _ADDRESSES:
        return value
    return quote(value, safe="").replace("%", percent)


def in_header(value: str) -> str:
    """Check a value for a header field.

    Raises:
        ValueError: it holds characters that a header cannot carry.
    """
    if not value.isascii() or any(ord(char) < ord(" ") or char == "\x7f" for char in value):
        raise ValueError("a header cannot carry this value")
    return value


def render_fields(fields: Mapping[str, Template], values: Mapping[str, str]) -> dict[str, str]:
    """Fill every field; those that would be empty are left out."""
    return {
        name: template.render(values)
        for name, template in fields.items()
        if not template.is_empty(values)
    }
