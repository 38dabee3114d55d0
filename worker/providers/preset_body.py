"""The body of a preset's request, and how values are written into it.

Rules: values are escaped by the rules of `template`. A value that a format cannot carry raises
`ValueError`. Names are fixed, and only values have slots.

`kind` says whether the body is JSON, XML or a form. For the kind `text`, the Content-Type of the
request or the beginning of the text decides. Plain text has at most one slot, because two values
could not be separated.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, Self
from urllib.parse import urlencode

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from worker.providers.template import DIGITS, Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.providers.preset_formats import Format

Kind = Literal["form", "json", "xml", "text"]

CONTENT_TYPES: Final[Mapping[Format, str]] = {
    "form": "application/x-www-form-urlencoded",
    "json": "application/json",
    "xml": "application/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
_DEEPEST: Final = 20
_LEFT_OUT: Final = object()


class Place(NamedTuple):
    """A template, and its place in a preset."""

    name: str
    template: Template
    format: Format | None = None
    """The format; None: the beginning of the text decides."""


def _name(name: object) -> str:
    if any(brace in str(name) for brace in "{}"):
        raise ValueError(f"expected a name without braces (slots are for values), got {name!r}")
    return str(name)


def _template(source: object) -> object:
    return Template.parse(source) if isinstance(source, str) else source


def _tree(source: object, depth: int = 0) -> object:
    """A JSON document whose strings are templates."""
    if depth > _DEEPEST:
        raise ValueError(f"expected at most {_DEEPEST} levels")
    match source:
        case dict():
            return {_name(name): _tree(each, depth + 1) for name, each in source.items()}
        case list():
            return [_tree(each, depth + 1) for each in source]
        case None | bool() | int() | Template():
            return source
        case str():
            return Template.parse(source)
        case _:
            raise ValueError(f"expected text, a whole number, true, false or null, got {source!r}")


Text = Annotated[Template, BeforeValidator(_template)]
Name = Annotated[str, AfterValidator(_name)]
Fields = dict[Name, Text]
Tree = Annotated[Any, BeforeValidator(_tree)]


class Part(BaseModel):
    """The base class of all parts of a preset."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Body(Part):
    """The body of a request: `fields` of a form or a JSON object (may be nested), or `text`."""

    kind: Kind
    fields: dict[Name, Tree] = Field(default_factory=dict)
    text: Text | None = None

    @model_validator(mode="after")
    def _content(self) -> Self:
        if (self.text is not None) == bool(self.fields):
            raise ValueError("expected one of 'fields' and 'text'")
        if (self.kind == "form" and self.text) or (self.kind in {"text", "xml"} and self.fields):
            raise ValueError(
                "expected 'fields' for the kind 'form', 'text' for 'text' and 'xml', "
                "either for 'json'"
            )
        if self.kind == "form" and not all(isinstance(f, Template) for f in self.fields.values()):
            raise ValueError("fields: expected text for every field of a form")
        return self

    def places(self, content_type: str) -> Iterator[Place]:
        """All templates in the body."""
        if self.text is not None:
            yield Place("text", self.text, self.format(content_type))
        yield from _places("fields", self.fields)

    def format(self, content_type: str) -> Format:
        """The format of the body."""
        if self.kind != "text" or self.text is None:
            return self.kind
        named: tuple[Format, ...] = ("json", "xml", "form")
        for name in named:
            if name in content_type.lower():
                return name
        return self.text.format

    def render(
        self, values: Mapping[str, str], content_type: str, digits: frozenset[str] = DIGITS
    ) -> bytes:
        """Fill the slots. Fields whose slots are all empty are left out.

        Raises:
            ValueError: the format cannot carry a value.
        """
        form = self.format(content_type)
        if self.text is not None:
            return self.text.render(values, form, digits).encode()
        filled = _filled(self.fields, values, digits)
        fields = {} if filled is _LEFT_OUT else filled
        if form == "form":
            return urlencode(fields).encode("ascii")
        return json.dumps(fields, ensure_ascii=False).encode()


def _places(name: str, node: Any) -> Iterator[Place]:
    if isinstance(node, Template):
        yield Place(name, node)
    elif isinstance(node, dict | list):
        for step, each in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _places(f"{name}.{step}", each)


def _filled(node: Any, values: Mapping[str, str], digits: frozenset[str]) -> Any:
    """A part of the document with filled slots; `_LEFT_OUT` if all its slots are empty."""
    match node:
        case Template():
            return _LEFT_OUT if node.is_empty(values) else node.render(values, digits=digits)
        case dict():
            pairs = ((name, _filled(each, values, digits)) for name, each in node.items())
            named = {name: each for name, each in pairs if each is not _LEFT_OUT}
            return named if named or not node else _LEFT_OUT
        case list():
            filled = (_filled(each, values, digits) for each in node)
            listed = [each for each in filled if each is not _LEFT_OUT]
            return listed if listed or not node else _LEFT_OUT
        case _:
            return node
