"""HTTP statuses that prove that a request was not processed: one table for all adapters.

Source: RFC 9110 section 15, RFC 6585, RFC 8470. An adapter uses this table last. The provider's own
documentation or the gateway's preset comes first.

Rules:
- A status is listed if its definition says that the request was not carried out. A status that
  servers also use for other things is not listed: `Unknown` keeps a message waiting for its report,
  but a wrong proof sends it twice.
- If the reason may be something that a publisher wrote, the message is blamed, also for 400. One
  publisher's texts must not open the breaker for all messages. If the reason is our account after
  all, the other provider takes the messages, people get an alert (`refusals`), and the share does
  not grow.
- A redirect is a proof and is never followed, because it leads to an unconfigured address.

Not listed on purpose:
- 303 See Other: "to allow the output of a POST to redirect": the request was carried out.
- 406 Not Acceptable: frameworks send it after the work was done, if they cannot write the answer.
- 408 Request Timeout: also used by proxies whose own server was too slow with its answer.
- 409 Conflict: may mean that the message was there already. 402 is not defined.
- 416, 424 and the like are about requests that we do not make.
- 500, 502, 503, 504: something between us and the gateway may have failed after it was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.domain.messages.outcome import AccountFault, Blame, NotSent, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.providers.answer import Answer

TOO_MANY: Final = 429
UNAVAILABLE: Final = 503

NOT_PROCESSED: Final[Mapping[int, tuple[Blame, str]]] = {
    301: (Blame.ACCOUNT, "the address moved for good"),
    302: (Blame.ACCOUNT, "the address moved"),
    305: (Blame.ACCOUNT, "only answers through a proxy"),
    307: (Blame.ACCOUNT, "the address moved"),
    308: (Blame.ACCOUNT, "the address moved for good"),
    400: (Blame.MESSAGE, "request refused as malformed"),
    401: (Blame.ACCOUNT, "credentials refused"),
    403: (Blame.ACCOUNT, "credentials refused"),
    404: (Blame.ACCOUNT, "no such address"),
    405: (Blame.ACCOUNT, "the address does not take this method"),
    407: (Blame.ACCOUNT, "a proxy asks for credentials"),
    410: (Blame.ACCOUNT, "the address is gone"),
    411: (Blame.PROVIDER, "a length is asked for"),
    412: (Blame.PROVIDER, "a condition was not met"),
    413: (Blame.MESSAGE, "the request is too long"),
    414: (Blame.MESSAGE, "the address is too long with this message in it"),
    415: (Blame.PROVIDER, "the kind of body is refused"),
    417: (Blame.PROVIDER, "an expectation cannot be met"),
    421: (Blame.ACCOUNT, "another server answers at this address"),
    422: (Blame.MESSAGE, "the content cannot be processed"),
    425: (Blame.PROVIDER, "refused because it could be a repetition"),
    426: (Blame.PROVIDER, "another protocol is asked for"),
    428: (Blame.PROVIDER, "a condition is asked for"),
    431: (Blame.MESSAGE, "the header is too long with this message in it"),
    451: (Blame.MESSAGE, "refused for legal reasons"),
    501: (Blame.PROVIDER, "the method is not known there"),
    505: (Blame.PROVIDER, "the version of HTTP is refused"),
    511: (Blame.ACCOUNT, "the network asks for a login"),
}
"""The blame, and the reason why the request was not processed."""

_FAULTS: Final[Mapping[int, AccountFault]] = {
    401: AccountFault.AUTHENTICATION,
    403: AccountFault.AUTHENTICATION,
    301: AccountFault.ADDRESS,
    302: AccountFault.ADDRESS,
    307: AccountFault.ADDRESS,
    308: AccountFault.ADDRESS,
    404: AccountFault.ADDRESS,
    405: AccountFault.ADDRESS,
    410: AccountFault.ADDRESS,
    421: AccountFault.ADDRESS,
}
"""Faults of our account or its settings. One answer alone does not prove them, because a load
balancer may send 404 during a change. So the guard confirms them by the account call."""


def account_fault(status: int) -> AccountFault | None:
    """The fault of our account that a status suggests."""
    return _FAULTS.get(status)


def slow_down(answer: Answer, code: str) -> NotSent:
    """The provider asks for fewer requests."""
    pause = answer.pause_s()
    return NotSent(Blame.PROVIDER, code, "asked to slow down", slow_down_s=pause)


def by_status(answer: Answer, unknown: str) -> NotSent | Unknown:
    """The outcome of a send by the HTTP status alone.

    Args:
        answer: the complete HTTP answer.
        unknown: the reason if the status proves nothing.
    """
    status, label = answer.status, f"http_{answer.status}"
    if status == TOO_MANY:
        return slow_down(answer, label)
    if status in NOT_PROCESSED:
        blame, reason = NOT_PROCESSED[status]
        return NotSent(blame, label, reason, account_fault=account_fault(status))
    pause = answer.asked_pause_s() if status == UNAVAILABLE else None
    return Unknown(label, unknown, slow_down_s=pause)
