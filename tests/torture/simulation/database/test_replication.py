"""What a majority has, what a secondary has, and what a failover undoes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp

from tests.torture.simulation.database.errors import NotPrimary, ServerError
from tests.torture.simulation.database.server import Server
from tests.torture.simulation.database.sessions import Transaction
from tests.torture.simulation.database.statements import (
    Delete,
    Find,
    Insert,
    Outcome,
    Refusal,
    Update,
)

NAME = "sms.messages"
BEGAN = datetime(2027, 1, 15, 8, tzinfo=UTC)


class Clock:
    """A server's clock, set by the test."""

    def __init__(self) -> None:
        self.time = BEGAN

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Server:
    made = Server(clock)
    made.replication.holds_commits = True
    return made


def ids(server: Server, *, concern: str = "majority", secondary: bool = False) -> list[Any]:
    read = server.read(NAME, Find({}), concern=concern, secondary=secondary)
    return [each["_id"] for each in read]


def insert(server: Server, *idents: str) -> None:
    server.write(NAME, [Insert({"_id": ident, "state": "new"}) for ident in idents])


def state(server: Server, ident: str, concern: str = "majority") -> Any:
    (found,) = server.read(NAME, Find({"_id": ident}), concern=concern, secondary=False)
    return found["state"]


def to(new: str, **query: Any) -> Update:
    return Update(query, {"$set": {"state": new}})


def test_a_write_is_read_by_a_majority_once_a_majority_has_it(server: Server) -> None:
    insert(server, "a")
    assert ids(server) == []
    assert ids(server, concern="local") == ["a"]
    server.commit()
    assert ids(server) == ["a"]


def test_a_compare_and_set_sees_what_no_majority_has_yet(server: Server) -> None:
    insert(server, "a")
    server.write(NAME, [to("first", _id="a", state="new")])
    second = server.write(NAME, [to("second", _id="a", state="new")])
    assert second.answers == [Outcome(matched=0)]
    server.commit()
    assert state(server, "a") == "first"


def test_without_held_commits_a_majority_has_each_write_at_once(clock: Clock) -> None:
    server = Server(clock)
    insert(server, "a")
    assert ids(server) == ["a"]


def test_a_failover_undoes_what_no_majority_has(server: Server) -> None:
    insert(server, "changed", "deleted")
    server.commit()
    server.write(NAME, [Insert({"_id": "new"}), Delete({"_id": "deleted"})])
    server.write(NAME, [to("changed", _id="changed")])
    server.fail_over()
    assert sorted(ids(server, concern="local")) == sorted(ids(server)) == ["changed", "deleted"]
    assert state(server, "changed", "local") == "new"


def test_a_new_primary_may_have_the_oldest_of_the_writes_that_no_majority_had(
    server: Server,
) -> None:
    insert(server, "a", "b", "c")
    server.fail_over(keeping=2)
    assert ids(server) == ["a", "b"]


def test_a_failover_frees_the_unique_keys_of_what_it_undoes(server: Server) -> None:
    server.create_index(NAME, {"name": "user_1", "key": {"user": 1}, "unique": True})
    first, second = (Insert({"_id": ident, "user": "ann"}) for ident in ("a", "b"))
    server.write(NAME, [first])
    (refused,) = server.write(NAME, [second]).answers
    assert isinstance(refused, Refusal)
    assert (refused.details["code"], refused.details["keyValue"]) == (11000, {"user": "ann"})
    server.fail_over()
    assert server.write(NAME, [second]).answers == [Outcome(inserted=1)]


def test_a_write_of_an_earlier_primary_is_not_acknowledged(server: Server) -> None:
    written = server.write(NAME, [Insert({"_id": "a"})])
    server.fail_over()
    with pytest.raises(NotPrimary):
        server.acknowledge(written)
    assert ids(server) == []


def test_an_acknowledged_write_survives_a_failover(server: Server) -> None:
    server.acknowledge(server.write(NAME, [Insert({"_id": "a"})]))
    insert(server, "b")
    server.fail_over()
    assert ids(server) == ["a"]


def test_a_secondary_has_what_a_majority_had_at_the_last_tick(server: Server) -> None:
    insert(server, "a")
    server.tick()
    assert ids(server, secondary=True) == []
    server.commit()
    assert ids(server, secondary=True) == []
    server.tick()
    insert(server, "b")
    server.commit()
    assert (ids(server), ids(server, secondary=True)) == (["a", "b"], ["a"])


def test_what_was_read_cannot_be_changed_by_its_reader(server: Server) -> None:
    server.write(NAME, [Insert({"_id": "a", "list": [{"deep": 1}]})])
    (read,) = server.read(NAME, Find({}), concern="local", secondary=False)
    read["list"][0]["deep"] = 2
    (again,) = server.newest(NAME)
    assert again["list"] == [{"deep": 1}]


# --- writes that are sent again ----------------------------------------------------------------

COUNT = [Update({"_id": "a"}, {"$inc": {"count": 1}})]


def count(server: Server) -> Any:
    (found,) = server.newest(NAME)
    return found["count"]


def test_a_write_that_is_sent_again_has_its_first_outcome(server: Server) -> None:
    insert(server, "a")
    sent = Transaction((1, 1), 1)
    first, again = (server.write(NAME, COUNT, transaction=sent) for _ in range(2))
    assert first.answers == again.answers == [Outcome(matched=1, modified=1)]
    assert count(server) == 1


def test_a_write_that_a_failover_undid_is_carried_out_when_it_is_sent_again(server: Server) -> None:
    insert(server, "a")
    server.commit()
    sent = Transaction((1, 1), 1)
    server.write(NAME, COUNT, transaction=sent)
    server.fail_over()
    server.write(NAME, COUNT, transaction=sent)
    assert count(server) == 1


def test_of_a_batch_that_is_sent_again_only_what_was_undone_is_carried_out(server: Server) -> None:
    batch = [Insert({"_id": "a"}), Insert({"_id": "b"})]
    sent = Transaction((1, 1), 1)
    server.write(NAME, batch, ordered=False, transaction=sent)
    server.fail_over(keeping=1)
    again = server.write(NAME, batch, ordered=False, transaction=sent)
    assert again.answers == [Outcome(inserted=1), Outcome(inserted=1)]


def test_an_operation_older_than_its_sessions_last_is_refused(server: Server) -> None:
    insert(server, "a")
    server.write(NAME, COUNT, transaction=Transaction((1, 1), 2))
    with pytest.raises(ServerError):
        server.write(NAME, COUNT, transaction=Transaction((1, 1), 1))
    server.write(NAME, COUNT, transaction=Transaction((1, 2), 1))
    assert count(server) == 2


# --- the server's time -------------------------------------------------------------------------


def test_timestamps_rise_even_if_the_clock_goes_back(server: Server, clock: Clock) -> None:
    for ident, later_s in (("a", 0), ("b", -60), ("c", 0)):
        clock.time = BEGAN + timedelta(seconds=later_s)
        server.write(NAME, [Insert({"_id": ident, "at": Timestamp(0, 0)})])
    stamped = [each["at"] for each in server.newest(NAME)]
    assert stamped == sorted(stamped)
    assert [each.time for each in stamped] == [int(BEGAN.timestamp())] * 3


def test_only_timestamps_at_the_top_of_a_document_are_filled_in(server: Server) -> None:
    empty = Timestamp(0, 0)
    server.write(NAME, [Insert({"_id": "a", "in": {"at": empty}})])
    (stored,) = server.newest(NAME)
    assert stored["in"] == {"at": empty}


def test_documents_expire_by_the_servers_clock(server: Server, clock: Clock) -> None:
    server.create_index(NAME, {"name": "t", "key": {"at": 1}, "expireAfterSeconds": 60})
    server.write(NAME, [Insert({"_id": "old", "at": BEGAN}), Insert({"_id": "timeless"})])
    clock.time = BEGAN + timedelta(seconds=59)
    server.tick()
    assert ids(server, concern="local") == ["old", "timeless"]
    clock.time = BEGAN + timedelta(seconds=60)
    server.tick()
    assert ids(server, concern="local") == ["timeless"]
