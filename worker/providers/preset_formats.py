"""The formats of a preset's request: how a value is escaped, and where a value may be.

Rules: a value that a format cannot carry raises `ValueError`. `contents` returns the data of a
document as its reader sees it: strings of JSON, content of XML, values of a form, steps and query
values of an address. A slot outside of them would be read as a part of the format itself.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, quote, quote_plus, unquote
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Format = Literal["form", "json", "xml", "text", "address"]

_NO_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML: Final = str.maketrans({char: f"&#{ord(char)};" for char in "&<>\"'\t\n\r"})


def in_json(value: str) -> str:
    """Escape a value for the inside of a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def in_xml(value: str) -> str:
    """Escape a value for an XML element or attribute.

    Raises:
        ValueError: it has characters that XML 1.0 cannot write.
    """
    if _NO_XML.search(value):
        raise ValueError("XML cannot carry this value")
    return value.translate(_XML)


def in_address(value: str) -> str:
    """Escape a value for one step or one query value of an address."""
    return quote(value, safe="")


def in_header(value: str) -> str:
    """Check a value for a header field.

    Raises:
        ValueError: it has characters that a header cannot carry.
    """
    if not value.isascii() or any(ord(char) < ord(" ") or char == "\x7f" for char in value):
        raise ValueError("a header cannot carry this value")
    return value


ENCODERS: Final[Mapping[Format, Callable[[str], str]]] = {
    "form": quote_plus,
    "json": in_json,
    "xml": in_xml,
    "text": str,
    "address": in_address,
}
EXPECTED: Final[Mapping[Format, str]] = {
    "form": "a form with its slots as values",
    "json": "JSON with its slots in quotes, as values",
    "xml": "XML in UTF-8 with its slots as content",
    "text": "text",
    "address": "an address with its slots as steps or as query values",
}


def begun(text: str) -> Format:
    """The format of a text, by its beginning."""
    first = text.lstrip("\ufeff \t\r\n")[:1]
    return "json" if first in {"{", "["} else "xml" if first == "<" else "text"


def contents(written: str, form: Format) -> list[str]:
    """Return all data in a document.

    Raises:
        ValueError: it is not well-formed.
    """
    match form:
        case "json":
            return list(_of_json(written))
        case "xml":
            return list(_of_xml(written))
        case "form":
            return [value for _, value in parse_qsl(written, keep_blank_values=True)]
        case "address":
            return _of_address(written)
        case _:
            return [written]


def _of_json(written: str) -> Iterator[str]:
    try:
        left: list[Any] = [json.loads(written)]
    except RecursionError:
        raise ValueError("too many levels") from None
    while left:
        each = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict | list):
            left += each.values() if isinstance(each, dict) else each


def _of_xml(written: str) -> Iterator[str]:
    if any(mark in written for mark in ("<!", "]]>")):
        raise ValueError("CDATA, comments and declarations of types are not for slots")
    try:
        root = ET.fromstring(written.encode())  # noqa: S314 - the operator's own file
    except (ET.ParseError, LookupError) as error:
        raise ValueError(str(error)) from error
    for each in root.iter():
        yield from (text for text in (each.text, each.tail, *each.attrib.values()) if text)


def _of_address(written: str) -> list[str]:
    path, _, query = written.partition("#")[0].partition("?")
    return [*map(unquote, path.split("/")), *contents(query, "form")]
