"""The control endpoints: they take fault scripts and return the facts.

| request | answer |
|---|---|
| `PUT /faults` (script, see `script`) | the script in force; 400 with every problem |
| `GET /faults` | rules with `taken` resolved, how often each was `seen` and `hits` |
| `DELETE /faults` | no faults; hangs are released, the port listens again |
| `GET /journal?since=N&limit=M` | `{"entries": [...], "last": <highest seq>}`, entries after N |
| `GET /journal/summary` | `taken`, `keys`, `without_key`, `duplicates` |
| `GET /requests/summary` | every request for an SMS, by path, answer and what became of the SMS |
| `GET /reports/summary` | callbacks `scheduled`, `delivered`, `retried`, `given_up`, `pending` |
| `POST /optouts` `{"to", "from"?}` | the subscriber opts out; answered when the customer knows |
| `DELETE /optouts` `{"to", "from"?}` | the subscriber is taken again; nobody is told |

Rules: no authentication, as the simulator is for test machines and binds loopback by default. All
answers are JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from worker.lab.simulator.script import read_script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from worker.lab.simulator.faults import Counted
    from worker.lab.simulator.server import Simulator

_LIMIT: Final = 1000
"""Journal entries in an answer if the request names no limit."""


async def handle(simulator: Simulator, request: web.BaseRequest) -> web.StreamResponse:
    """Answer a control request; 404 if there is no such endpoint, 400 with its problems."""
    endpoint = _endpoints().get((request.method, request.rel_url.path))
    if endpoint is None:
        return _problem(404, f"no such endpoint: {request.method} {request.rel_url.path}")
    try:
        return web.json_response(await endpoint(simulator, request))
    except ValueError as problem:
        return _problem(400, str(problem))


def _endpoints() -> Mapping[
    tuple[str, str], Callable[[Simulator, web.BaseRequest], Awaitable[dict[str, Any]]]
]:
    return {
        ("PUT", "/faults"): _put_faults,
        ("GET", "/faults"): _get_faults,
        ("DELETE", "/faults"): _delete_faults,
        ("GET", "/journal"): _journal,
        ("GET", "/journal/summary"): _journal_summary,
        ("GET", "/requests/summary"): _requests_summary,
        ("GET", "/reports/summary"): _reports_summary,
        ("POST", "/optouts"): _opt_out,
        ("DELETE", "/optouts"): _opt_in,
    }


def _problem(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


async def _put_faults(simulator: Simulator, request: web.BaseRequest) -> dict[str, Any]:
    simulator.set_faults(read_script(await request.read()))
    return _faults(simulator)


async def _get_faults(simulator: Simulator, _: web.BaseRequest) -> dict[str, Any]:
    return _faults(simulator)


async def _delete_faults(simulator: Simulator, _: web.BaseRequest) -> dict[str, Any]:
    simulator.clear_faults()
    return _faults(simulator)


def _faults(simulator: Simulator) -> dict[str, Any]:
    faults = simulator.engine.faults
    return {"seed": faults.script.seed, "rules": [_rule(each) for each in faults.rules]}


def _rule(counted: Counted) -> dict[str, Any]:
    return {
        **counted.rule.model_dump(mode="json", exclude_defaults=True),
        "taken": [action.takes for action in counted.rule.actions()],
        "seen": counted.seen,
        "hits": counted.hits,
    }


async def _journal(simulator: Simulator, request: web.BaseRequest) -> dict[str, Any]:
    since = _number(request, "since", 0)
    entries = simulator.journal.since(since, _number(request, "limit", _LIMIT))
    return {"entries": [each.as_json() for each in entries], "last": len(simulator.journal)}


def _number(request: web.BaseRequest, name: str, default: int) -> int:
    value = request.rel_url.query.get(name, str(default))
    if not value.isdecimal():
        raise ValueError(f"{name}: expected a number of 0 or more, got {value!r}")
    return int(value)


async def _journal_summary(simulator: Simulator, _: web.BaseRequest) -> dict[str, Any]:
    return simulator.journal.summary()


async def _requests_summary(simulator: Simulator, _: web.BaseRequest) -> dict[str, Any]:
    return simulator.engine.requests.summary()


async def _reports_summary(simulator: Simulator, _: web.BaseRequest) -> dict[str, Any]:
    return simulator.reporter.summary()


async def _opt_out(simulator: Simulator, request: web.BaseRequest) -> dict[str, Any]:
    number, sender = await _subscriber(request)
    await simulator.opt_out(number, sender)
    return {"to": number, "optedOut": True}


async def _opt_in(simulator: Simulator, request: web.BaseRequest) -> dict[str, Any]:
    number, sender = await _subscriber(request)
    simulator.engine.opt_in(number, sender)
    return {"to": number, "optedOut": False}


async def _subscriber(request: web.BaseRequest) -> tuple[str, str]:
    body = json.loads(await request.read())
    number = body.get("to") if isinstance(body, dict) else None
    if not isinstance(number, str):
        raise ValueError(f"to: expected a number as a string, got {number!r}")  # noqa: TRY004  what is wrong is the sender's value
    return number, str(body.get("from") or "")
