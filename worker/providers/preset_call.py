"""One request of a preset: its address, headers and authorisation.

Rules: an address must be complete: a base address of the settings, or a host that does not depend
on the message, and then a path. A header must be valid in HTTP. A problem raises a `ValueError`
that names the field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, model_validator

from worker.providers.preset_body import Body, Fields, Part, Place, Text
from worker.providers.preset_formats import in_header
from worker.settings.types import without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.providers.template import Template

_ACCOUNT: Final = {"base_url", "username", "secret", "sender_id", "provider_id"}
_MESSAGE: Final = {"to", "text", "message_id", "epoch", "coding", "valid_for_s", "valid_for_min"}
_REPORT: Final = {"report_base_url", "report_token", "report_url"}
SLOTS: Final = frozenset(_ACCOUNT | _MESSAGE | _REPORT)
"""Names for templates, besides `ProviderSettings.parameters`."""
_URL: Final = re.compile(r"(\{\w+\}|https?://[^/?#]+)([/?][^#]*)?")
_HOST_OF_MESSAGE: Final = re.compile("|".join(re.escape(f"{{{name}}}") for name in sorted(SLOTS)))
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header field by RFC 9110, section 5.1."""
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that the HTTP library sets for the body. A second one could split the request."""


def fields_at(name: str, fields: Fields) -> Iterator[Place]:
    """The templates of fields, with their places."""
    return (Place(f"{name}.{field}", template) for field, template in fields.items())


def url_problems(url: Template, base: str) -> Iterator[str]:
    """Check that an address is complete."""
    match = _URL.fullmatch(url.source)
    host = match[1] if match else ""
    if host != f"{{{base}}}" and (not host.startswith("http") or _HOST_OF_MESSAGE.search(host)):
        yield (
            f"url: expected '{{{base}}}' or an address with http:// or https://, behind it '/' or "
            "'?', and no '#'"
        )


def _of_headers(fields: Fields) -> Iterator[str]:
    """Check the headers of a request."""
    for name, template in fields.items():
        if not _HEADER.fullmatch(name):
            yield f"headers: expected the name of a field of HTTP, got {name!r}"
        if name.lower() in _FRAMING:
            yield f"headers: expected no {name}: it follows from the body"
        try:
            in_header(template.literal)
        except ValueError:
            yield f"headers.{name}: expected ASCII characters without line ends"
    if len({name.lower() for name in fields}) < len(fields):
        yield "headers: expected each name once, in whatever case"


class Auth(Part):
    """The authorisation of a call; `fields` are the headers or query values."""

    kind: Literal["none", "basic", "bearer", "header", "query"] = "none"
    fields: Fields = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fields_where_used(self) -> Self:
        if (self.kind in {"header", "query"}) != bool(self.fields):
            raise ValueError("fields: expected with the kinds 'header' and 'query', and only there")
        if self.kind == "header":
            without(list(_of_headers(self.fields)))
        return self


class Call(Part):
    """One HTTP request."""

    method: Literal["GET", "POST", "PUT"]
    url: Text
    query: Fields = Field(default_factory=dict)
    headers: Fields = Field(default_factory=dict)
    body: Body | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        without([*url_problems(self.url, "base_url"), *_of_headers(self.headers)])
        return self

    @property
    def content_type(self) -> str:
        """The Content-Type in the preset; empty: the kind of body decides."""
        named = (value for name, value in self.headers.items() if name.lower() == "content-type")
        return "".join(value.literal for value in named)

    def places(self, name: str) -> Iterator[Place]:
        """All templates of the request."""
        yield Place(f"{name}.url", self.url, "address")
        yield from fields_at(f"{name}.query", self.query)
        yield from fields_at(f"{name}.headers", self.headers)
        for place in self.body.places(self.content_type) if self.body else ():
            yield place._replace(name=f"{name}.body.{place.name}")
