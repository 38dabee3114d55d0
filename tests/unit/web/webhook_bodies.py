"""What the tests of the webhook make of bodies."""

from __future__ import annotations

import json
from typing import Any

from worker.web.fields import read

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
LATIN = f"{FORM}; charset=ISO-8859-1"


def one(query: bytes, media_type: str, body: bytes) -> dict[str, str]:
    """The only report of a callback."""
    (fields,) = read(query, media_type, body)
    return fields


def reports(document: Any) -> list[dict[str, str]]:
    """The reports of a JSON document."""
    return list(read(b"", JSON, json.dumps(document).encode()))
