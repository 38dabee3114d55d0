"""What the address of the database may say, and that it changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pymongo import ReadPreference, common
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from worker.store import address, address_check
from worker.store.client import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = "mongodb://u:p@127.0.0.1:1/admin?replicaSet=rs0"

HOSTILE = (
    "readPreference=secondaryPreferred",
    "readPreference=nearest&maxStalenessSeconds=120",
    "readPreference=secondary&readPreferenceTags=dc:ny&readPreferenceTags=",
    "READPREFERENCE=secondary",
    "readPreferenceTags=dc:ny",
    "maxStalenessSeconds=90",
    "readConcernLevel=local",
    "readConcernLevel=linearizable",
    "w=0",
    "w=1",
    "w=2&wtimeoutMS=5",
    "wTimeout=5",
    "w=1&journal=false",
    "j=false",
    "fsync=true",
    "retryWrites=false",
    "retryReads=false",
    "timeoutMS=1",
    "socketTimeoutMS=1",
    "connectTimeoutMS=1",
    "serverSelectionTimeoutMS=1",
    "waitQueueTimeoutMS=1",
    "waitQueueMultiple=1",
    "heartbeatFrequencyMS=600000",
    "localThresholdMS=900",
    "maxPoolSize=1",
    "minPoolSize=9",
    "maxIdleTimeMS=1",
    "maxConnecting=1",
    "appName=another",
    "tz_aware=false",
    "uuidRepresentation=javaLegacy",
    "unicode_decode_error_handler=ignore",
    "datetime_conversion=DATETIME_MS",
    "serverMonitoringMode=poll",
    "connect=false",
    "driver=x",
    "noSuchOption=1",
)


@pytest.fixture
def plain() -> Iterator[Any]:
    yield from opened(PLAIN)


def opened(url: str) -> Iterator[Any]:
    database = Database(url, "sms", timeout_s=5)
    yield database
    database.db.client.close()


def effective(database: Any) -> list[Any]:
    """All that a client, a database and a collection of it go by."""
    options = database.db.client.options
    pool = options.pool_options
    levels = (database.db.client, database.db, database["messages"])
    return [
        *((each.read_preference, each.write_concern, each.read_concern) for each in levels),
        *(each.codec_options for each in levels),
        (options.retry_writes, options.retry_reads, options.timeout),
        (options.server_selection_timeout, options.local_threshold_ms, options.replica_set_name),
        (options.heartbeat_frequency, options.server_monitoring_mode),
        (pool.max_pool_size, pool.min_pool_size, pool.max_idle_time_seconds, pool.max_connecting),
        (pool.connect_timeout, pool.socket_timeout, pool.wait_queue_timeout, pool.appname),
    ]


@pytest.mark.parametrize("given", HOSTILE)
def test_an_option_of_the_address_changes_nothing_that_is_relied_on(plain: Any, given: str) -> None:
    for database in opened(f"{PLAIN}&{given}"):
        assert effective(database) == effective(plain)


@pytest.mark.parametrize("given", HOSTILE)
def test_an_option_that_is_not_used_is_named(given: str) -> None:
    names = dict.fromkeys(each.partition("=")[0] for each in given.split("&"))
    assert address.split(f"{PLAIN}&{given}") == (PLAIN, tuple(names))


def test_reads_and_writes_are_those_of_a_majority_at_the_primary(plain: Any) -> None:
    collection = plain["messages"]
    assert collection.read_preference == ReadPreference.PRIMARY
    assert collection.read_concern.document == {"level": "majority"}
    assert collection.write_concern.document == {"w": "majority", "j": True}
    assert plain.db.client.options.retry_writes
    assert plain.db.client.options.retry_reads


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://127.0.0.1:1",
        "mongodb://127.0.0.1:1/",
        "mongodb://127.0.0.1:1/?directConnection=true",
        "mongodb://u:p@a.test,b.test:2/?replicaSet=rs0;authSource=admin",
        "mongodb://a.test/?tls=true&tlsCAFile=%2Fx.pem&tlsCertificateKeyFile=y.pem",
        "mongodb+srv://u:p@cluster.test/?AuthSource=admin&compressors=zstd,zlib",
        "mongodb://a.test/?authMechanism=MONGODB-AWS&authMechanismProperties=A:b,C:d=e",
    ],
)
def test_how_the_server_is_reached_is_used_as_it_was_given(url: str) -> None:
    assert address.split(url) == (url, ())


def test_an_address_of_unused_options_alone_loses_its_query() -> None:
    assert address.split("mongodb://a.test/?w=1&w=2") == ("mongodb://a.test/", ("w",))


def test_every_option_that_reaches_a_server_is_one_the_driver_knows() -> None:
    known = {*common.URI_OPTIONS_VALIDATOR_MAP, *common.URI_OPTIONS_DEPRECATION_MAP}
    assert known | {"ssl"} >= address.REACHING


@pytest.mark.parametrize(
    ("error", "may_pass"),
    [
        (ServerSelectionTimeoutError("h:27017: Connection refused"), True),
        (ServerSelectionTimeoutError("h: [SSL] certificate verify failed: no issuer"), False),
        (AutoReconnect("connection closed"), True),
        (NotPrimaryError("not primary"), True),
        (WTimeoutError("waiting for replication timed out"), True),
        (OperationFailure("no", 18), False),
        (OperationFailure("no", 13), False),
        (ConfigurationError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_a_database_that_may_answer_later_is_told_from_one_that_refuses(
    error: Exception, *, may_pass: bool
) -> None:
    assert address_check.passes(error) is may_pass
