"""The error for a change that cannot be carried out in this state."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.domain.migration.reply_codes import ReplyCode


class ChangeRefused(Exception):  # noqa: N818 - control flow within this package
    """A change is refused; the text says what was requested, what is possible and what to do."""

    def __init__(self, code: ReplyCode, text: str) -> None:
        super().__init__(text)
        self.code = code
