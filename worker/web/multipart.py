"""Reads the fields of a multipart/form-data body (RFC 7578).

Rules: pure, and linear in the length of the body. The first line is the delimiter, whatever the
content type names. A part without a name is left out. A file is read like any other value.
"""

from __future__ import annotations

import re
from typing import Final

from contracts.reports import MAX_FIELDS
from worker.providers.charsets import declared
from worker.web.malformed import MalformedError

_DELIMITER: Final = re.compile(rb"--[^\r\n]{1,200}?(?=[ \t]*\r?\n)")
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_NAME: Final = re.compile(r'(?<=[;\s])name\s*=\s*(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE)


def read(body: bytes, charset: str) -> list[tuple[str, str]]:
    """Name and value of each part, in their order.

    Args:
        body: begins with `--`.
        charset: the charset of parts that name none.

    Raises:
        MalformedError: there is no part with a name, or there are too many parts.
    """
    delimiter = _DELIMITER.match(body)
    if delimiter is None:
        raise MalformedError("expected multipart/form-data, got no line with its delimiter")
    line = rb"(?:\A|\r?\n)" + re.escape(delimiter[0]) + rb"[ \t]*(?=\r?\n|--|\Z)"
    fields: list[tuple[str, str]] = []
    parts = re.split(line, body, maxsplit=MAX_FIELDS + 2)[1:]
    if len(parts) > MAX_FIELDS + 1:
        raise MalformedError(f"expected at most {MAX_FIELDS} fields, got more")
    for part in parts:
        name, value = _field(part, charset)
        if name and not part.startswith(b"--"):
            fields.append((name, value))
    if not fields:
        raise MalformedError("expected parts of multipart/form-data with names, got none")
    return fields


def _field(part: bytes, charset: str) -> tuple[str, str]:
    head, *content = _BLANK_LINE.split(part, maxsplit=1)
    headers = head.decode(charset, "replace")
    name = _NAME.search(headers)
    if name is None or not content:
        return "", ""
    own = declared(headers) or charset
    return name[1] or name[2] or "", content[0].decode(own, "replace")
