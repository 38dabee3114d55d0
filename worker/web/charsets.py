"""Converts the body of a callback to a charset that contains ASCII, as forms are read by bytes.

Rules: pure. The declared charset counts if it is known (`providers.charsets`). Without one, UTF-16
and UTF-32 are recognised by their bytes, and everything else is read as UTF-8.
"""

from __future__ import annotations

import codecs
from typing import Final

from worker.providers.charsets import declared, is_wide, shown

_MARK: Final = codecs.BOM_UTF8


def ascii_based(media_type: str, body: bytes) -> tuple[bytes, str]:
    """Return the body in a charset that contains ASCII, without byte order mark, and its name."""
    charset = declared(media_type) or shown(body)
    if is_wide(charset):
        text = body.decode(charset, "replace").removeprefix("\ufeff")
        return text.encode(errors="replace"), "utf-8"
    return body.removeprefix(_MARK), charset
