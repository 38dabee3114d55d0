"""Serves style, script and icon from memory, each under a name that changes with its content.

Rules: read once, at the start. A browser may keep a file for ever, because another content has
another name. Compressed once, not at each request.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

from worker.console.packing import packed, takes_gzip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class _File:
    media_type: str
    plain: bytes
    compressed: bytes


class StaticFiles:
    """The files, by the names under which they are served.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._names: dict[str, str] = {}
        self._files: dict[str, _File] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in _TYPES:
                self._add(path)

    @property
    def paths(self) -> Mapping[str, str]:
        """Path of each file below the console's base, by its name."""
        return {name: f"static/{served}" for name, served in self._names.items()}

    async def serve(self, request: Request) -> Response:
        """Answer `GET /static/NAME`."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("There is no such file.", 404)
        headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
        if takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            return Response(file.compressed, media_type=file.media_type, headers=headers)
        return Response(file.plain, media_type=file.media_type, headers=headers)

    def _add(self, path: Path) -> None:
        plain = path.read_bytes()
        digest = hashlib.sha256(plain).hexdigest()[:_DIGITS]
        name = f"{path.stem}.{digest}{path.suffix}"
        self._names[path.name] = name
        self._files[name] = _File(_TYPES[path.suffix], plain, packed(plain))
