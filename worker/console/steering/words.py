"""The words that fill the placeholders of a description: names, where from, where to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.console import wording
from worker.console.steering.effects import proposal_made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.console.steering.dialog import Opening

_UNKNOWN = "–"


def words_of(opening: Opening) -> Mapping[str, object]:
    """The words of one dialog. What is not known is a dash."""
    names = opening.names
    called = {"target": names.target, "legacy": names.legacy}
    after = opening.preview.answer.after if opening.preview else None
    seen = opening.preview.reply.state if opening.preview else opening.state
    wanted = (proposal_made(seen, after) or after) if after else None
    return {
        **called,
        "provider": called.get(str(opening.fields.get("provider")), "the provider"),
        "to": opening.fields.get("to", "an older version"),
        "phase": wording.phase(wanted.phase) if wanted else _UNKNOWN,
        "share": wanted.percentage if wanted else _UNKNOWN,
        "before": seen.percentage if seen else _UNKNOWN,
        "version": seen.version if seen else _UNKNOWN,
    }
