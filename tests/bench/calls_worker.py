"""What replicas do with messages at two providers, in small and compiled: a log of their calls.

A message comes to a replica, which calls the provider that the percentage names, or the other one
where the first one's breaker is open, its places are full for long, or it proved not to have taken
the message. Places, choice and rounds follow `worker.providers.guard` and `worker.handlers`.

Rules: time is a number, events are taken in its order, and chance comes from one seed. Messages are
transactional: what may have left is sent once more, by the other provider. Store and broker take no
time, and limits of calls begun a second are never reached. Every message has a number of its own,
whose failure counts once at each provider (`worker.telemetry.recipients`). Nothing compiled is kept
on disk: it would not be made anew where only a constant of another file changed.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush

import numpy as np
from numba import njit

from tests.bench.calls_breaker import CLOSED, FAILURE, IGNORED, SUCCESS, admit, finish, passable
from tests.bench.calls_scene import (
    ACCEPTED,
    REFUSED,
    SKIPPED,
    UNKNOWN,
    append,
    busy_for,
    drawn,
    give_place_back,
    popped,
    write,
)
from worker.broker.consumer import RETRY_S
from worker.providers.guard import GIVE_UP_S

_NOBODY = -1
_ENDED, _GAVE_UP, _COMES, _RESUMES = 0, 1, 2, 3
_SOON_S, _TIERS_S = 5.0, (5.0, 30.0, 120.0)
"""Of the retry tiers: for what nobody could be asked, and by rounds that failed."""


@njit
def run(scene, looks, seed):
    """Handle every message until the last look.

    Returns:
        By look and provider, on how many replicas its breaker is not closed.
    """
    random.seed(seed)
    shut = np.zeros((len(looks), 2), np.int64)
    heap = [(np.inf, 0, 0)]
    arrived = look = 0
    while True:
        comes = scene.messages[arrived].at if arrived < len(scene.messages) else np.inf
        now = min(heap[0][0], comes)
        while look < len(looks) and looks[look] <= now:
            for provider in range(2):
                shut[look, provider] = np.sum(scene.guards[:, provider].state != CLOSED)
            look += 1
        if look == len(looks):
            return shut
        if comes <= heap[0][0]:
            append(scene, scene.broker[0], arrived)
            arrived += 1
        else:
            _, what, number = heappop(heap)
            if what == _ENDED:
                _ended(scene, heap, number, now)
            elif what == _GAVE_UP:
                _give_up(scene, heap, number // 2, number % 2, now)
            elif what == _COMES:
                append(scene, scene.broker[0], number)
        _deliver(scene, heap, now)


# --- the broker ----------------------------------------------------------------------------


@njit
def _deliver(scene, heap, now):
    """What is in the queue, while a replica takes something: a round of each message begins."""
    queue = scene.broker[0]
    while queue.waiting:
        replica = _free_replica(scene, now)
        if replica == _NOBODY:
            return
        number = popped(scene, queue)
        message = scene.messages[number]
        message.replica = replica
        message.tried = message.passed_over = message.waited_for = 0
        message.own_fault = True
        scene.replicas[replica].in_hand += 1
        _choose(scene, heap, number, now)


@njit
def _free_replica(scene, now):
    """Any of those that take something now."""
    count = len(scene.replicas)
    drawn = int(random.random() * count)
    for each in range(count):
        replica = scene.replicas[(drawn + each) % count]
        if now >= replica.paused_until and replica.in_hand < scene.limits.prefetch:
            return (drawn + each) % count
    return _NOBODY


@njit
def _leave(scene, heap, number, back):
    """Out of the replica's hands, until then or for good."""
    scene.replicas[scene.messages[number].replica].in_hand -= 1
    if back < np.inf:
        heappush(heap, (back, _COMES, number))


# --- a message -----------------------------------------------------------------------------


@njit
def _choose(scene, heap, number, now):
    """See `worker.handlers.choose`."""
    message = scene.messages[number]
    if now >= message.at + scene.limits.life_s:
        _leave(scene, heap, number, np.inf)
        return
    chosen, blocked, busy = _NOBODY, 0, 0
    for provider in (message.side, 1 - message.side):
        bit, guard = 1 << provider, scene.guards[message.replica, provider]
        if not passable(guard, now):
            blocked |= bit
        elif message.waited_for & bit or busy_for(guard, scene.limits.places, now):
            busy |= bit
        elif chosen == _NOBODY and not message.tried & bit:
            chosen = provider
    _pass_over(scene, number, blocked & ~message.tried, chosen, now)
    if chosen == _NOBODY:
        _nobody(scene, heap, number, (blocked | busy) & ~message.tried, busy & ~message.tried, now)
        return
    guard = scene.guards[message.replica, chosen]
    if guard.taken < scene.limits.places and not guard.waiting:
        _begin(scene, heap, number, chosen, now)
        return
    message.until = now + GIVE_UP_S
    append(scene, guard, number)
    heappush(heap, (message.until, _GAVE_UP, 2 * message.replica + chosen))


@njit
def _pass_over(scene, number, blocked, chosen, now):
    """Count whose breaker is open, once a round; a fallback not reached was not passed over."""
    message = scene.messages[number]
    for provider in range(2):
        bit, first = 1 << provider, provider == message.side
        if blocked & bit and not message.passed_over & bit and (chosen == _NOBODY or first):
            message.passed_over |= bit
            write(scene, number, provider, SKIPPED, now, now)


@njit
def _nobody(scene, heap, number, left_out, busy, now):  # noqa: PLR0917 - see `finish`
    """Nobody can be called in this round."""
    message = scene.messages[number]
    if not message.tried:
        _pause(scene, heap, message.replica, now)
        _leave(scene, heap, number, now + _SOON_S)
        return
    message.rounds += not busy
    over = (
        message.in_doubt
        or (message.own_fault and not left_out)
        or message.rounds >= scene.limits.rounds
    )
    tier = min(message.attempts if busy else message.rounds, len(_TIERS_S))
    _leave(scene, heap, number, np.inf if over else now + _TIERS_S[tier - 1])


@njit
def _pause(scene, heap, replica, now):
    """Take nothing new until somebody can be called."""
    first = np.inf
    for provider in range(2):
        guard = scene.guards[replica, provider]
        due = max(guard.probe_at - now, busy_for(guard, scene.limits.places, now))
        first = min(first, due)
    scene.replicas[replica].paused_until = now + max(first, RETRY_S)
    heappush(heap, (scene.replicas[replica].paused_until, _RESUMES, replica))


@njit
def _begin(scene, heap, number, provider, now):
    """A call, whose end is drawn at once."""
    message = scene.messages[number]
    guard = scene.guards[message.replica, provider]
    stretch = 0
    while now >= scene.ways[stretch, 0, 0].ends and stretch + 1 < len(scene.ways):
        stretch += 1
    outcome, lasts = drawn(scene.ways[stretch, message.group, provider])
    message.row = write(scene, number, provider, outcome, now, now + lasts)
    message.generation = admit(guard)
    message.provider = provider
    message.attempts += 1
    message.tried |= 1 << provider
    message.waited_for = 0
    guard.begun[guard.taken] = now
    guard.taken += 1
    heappush(heap, (now + lasts, _ENDED, number))


@njit
def _ended(scene, heap, number, now):
    """The breaker learns of it, the place goes to who waits, and the message goes on or not."""
    message = scene.messages[number]
    provider, row = message.provider, scene.log[message.row]
    mark = FAILURE
    if row.outcome == ACCEPTED:
        mark = SUCCESS
    elif row.outcome == REFUSED or message.refused_by & (1 << (1 - provider)):
        mark = IGNORED
    guard = scene.guards[message.replica, provider]
    finish(guard, scene.limits.when, message.generation, mark, row.ended - row.began, now)
    give_place_back(guard, row.began)
    _serve(scene, heap, message.replica, provider, now)
    if row.outcome == ACCEPTED or (row.outcome == UNKNOWN and message.in_doubt):
        _leave(scene, heap, number, np.inf)
        return
    message.in_doubt |= row.outcome == UNKNOWN
    message.own_fault &= row.outcome == REFUSED
    message.refused_by |= (row.outcome == REFUSED) << provider
    _choose(scene, heap, number, now)


# --- places --------------------------------------------------------------------------------


@njit
def _give_up(scene, heap, replica, provider, now):
    """Who waited in vain goes elsewhere; all wait equally long, so it is the first."""
    guard = scene.guards[replica, provider]
    while guard.waiting and scene.messages[guard.first].until <= now:
        number = popped(scene, guard)
        scene.messages[number].waited_for |= 1 << provider
        _choose(scene, heap, number, now)


@njit
def _serve(scene, heap, replica, provider, now):
    """Let in who waits; the breaker is asked anew."""
    guard = scene.guards[replica, provider]
    while guard.waiting and guard.taken < scene.limits.places:
        number = popped(scene, guard)
        if passable(guard, now):
            _begin(scene, heap, number, provider, now)
        else:
            _choose(scene, heap, number, now)
