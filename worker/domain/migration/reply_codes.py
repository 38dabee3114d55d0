"""The codes of replies to commands and queries, for programs.

Rules: codes are short and stable; the text beside a code is for people and may change. A program
uses the verdict if it does not know a code. Codes are published, and stored in the control log with
the reply. `decide` and the handlers of commands and queries set them. The last three are only in
the control log, for actions of automation.
"""

from __future__ import annotations

from typing import Final, Self

from worker.domain.documented import DocumentedWord, markdown_table, with_meaning


class ReplyCode(DocumentedWord):
    """The result of a command or query, and what to do then."""

    remedy: str

    def __new__(cls, word: str, meaning: str, remedy: str) -> Self:
        """Make a member of `word, meaning, remedy`."""
        member = with_meaning(cls, word, meaning)
        member.remedy = remedy
        return member

    OK = "ok", "done (or answered)", "nothing"
    UNCHANGED = "unchanged", "it was so already", "nothing"
    PROPOSED = (
        "proposed",
        "a second person must approve it (`FourEyes`)",
        "`approve` by somebody else",
    )
    DRY_RUN = "dry-run", "what would happen; `gates` says whether it may", "nothing"

    GATES = (
        "gates",
        "an upward move without enough evidence; `gates` says what is missing",
        "wait, or override with a reason",
    )
    RANGE = (
        "range",
        "the percentage is outside the phase's range",
        "another percentage or another phase",
    )
    PHASE = "phase", "the command is not possible in this phase", "`text` lists what is"
    LAST_STEP = "last step", "no further step in this phase", "`advance`"
    RETIRED = (
        "retired",
        "legacy is not enabled, so there is no way back to it",
        "`enable-provider`, or `emergency-rollback`",
    )
    NO_PROVIDER = (
        "no provider",
        "no enabled provider with a role would be left",
        "enable one first",
    )
    NO_PROPOSAL = "no proposal", "no such proposal waits", "look at `status`"
    OWN_PROPOSAL = (
        "own proposal",
        "you made it; somebody else must approve",
        "ask a second person",
    )
    FOUR_EYES = (
        "four-eyes",
        "with `FourEyes`, this change cannot be a proposal: it also changes the flags",
        "a move, which somebody approves",
    )
    EXPIRED = "expired", "the proposal is over 24 hours old", "ask again"
    STALE = "stale", "an upward command older than 30 s", "issue it anew"
    VERSION = "version", "another version is in force than expected", "look at `status`, ask again"
    UNKNOWN_VERSION = "unknown version", "`restore` names no known version", "`text` lists them"
    NOT_OPEN = "not open", "no open alert has that name", "look at `alerts`"
    SEVERAL = "several", "more than one open alert has that name", "name its id"
    TOO_MANY = "too many", "more overrides or backups than allowed", "clear some"
    INVALID = "invalid", "a field is wrong; `problems` names each", "mend it"
    ID_CONFLICT = "id conflict", "the id was used for another command", "a new `commandId`"
    FORBIDDEN = (
        "forbidden",
        "the user has no role for it, or it came on a way that proves nothing",
        "ask an administrator",
    )
    STORE_UNAVAILABLE = (
        "store unavailable",
        "the database did not answer; it may be recorded all the same",
        "the same id again",
    )

    HELD = "hold", "in the history alone: automation holds", "`text` says why"
    STEPPED_BACK = (
        "automatic-step-back",
        "in the history alone: automation went down a step",
        "`text` says why",
    )
    ROLLED_BACK = (
        "automatic-rollback",
        "in the history alone: automation rolled back",
        "`text` says why",
    )


ACCEPTED: Final = frozenset(
    {
        ReplyCode.OK,
        ReplyCode.UNCHANGED,
        ReplyCode.PROPOSED,
        ReplyCode.DRY_RUN,
        ReplyCode.HELD,
        ReplyCode.STEPPED_BACK,
        ReplyCode.ROLLED_BACK,
    }
)
"""The codes of accepted requests. Every other code is a refusal, which changed nothing."""


def table() -> str:
    """The registry for the documentation."""
    rows = (
        (
            f"`{code}`",
            "accepted" if code in ACCEPTED else "refused",
            code.meaning,
            code.remedy,
        )
        for code in ReplyCode
    )
    return markdown_table(("code", "verdict", "means", "what to do"), rows)
