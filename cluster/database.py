"""
The catalog's database: an SQLite file where one machine writes it, a PostgreSQL server where several do.

Transactions that write to one stream run one after the other on both, each seeing all that the one before it wrote:
SQLite lets one write at a time, and on PostgreSQL they begin with a lock named after the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import OperationalError
from threading import Lock
from time import monotonic, sleep
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, Pool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError
from sqlalchemy.exc import OperationalError as DatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session

from ..discovery.errors import InputError, QbitelError
from . import migrations
from .dependency import Dependency

_SERVERS = ("postgresql", "postgresql+psycopg")
_TABLES = "tables"  # the lock of those who make the tables
# A client that vanished in the middle of a transaction holds its locks until the server sees it, by default for hours.
_PEER_TIMES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
_SESSION = {
    "idle_in_transaction_session_timeout": 5_000, "tcp_keepalives_idle": 5, "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3, "tcp_user_timeout": 10_000,
}  # fmt: skip
_CONNECT_S = 5
_AGAIN_S = 0.01
_CONNECTIONS = 8
_FAILURES = (DatabaseError, InterfaceError, InternalError, PoolTimeoutError)
_GUARDS: WeakKeyDictionary[Pool, Dependency] = WeakKeyDictionary()
_GUARDS_LOCK = Lock()


class OutcomeUnknownError(QbitelError):
    """The database did not answer: the transaction may have happened or not, and must be looked up."""

    code = "unknown-outcome"
    retry = True


class Base(DeclarativeBase):
    """Base of the tables, as the newest step of ``migrations`` leaves them."""


def is_server(catalog: str) -> bool:
    """Return whether an address is of a database server, which several machines reach, and not a file of this one."""
    return "://" in catalog


def shown(catalog: str) -> str:
    """Return the address of a catalog without its password."""
    return _server_url(catalog).render_as_string(hide_password=True) if is_server(catalog) else catalog


def open_engine(catalog: str | Path, *, durable: bool = False, patience_s: float = 30.0) -> Engine:
    """
    Open the database of all tables, and run the steps of ``migrations`` that it lacks, one process at a time.

    Args:
        catalog: an SQLite file, which is made where there is none, or ``postgresql://user:password@host/database``.
        durable: a commit is on the disk when it returns, and transactions on an SQLite file run one after the other
            from their first statement on, but those of an engine with the execution option ``reads``. Without, the last
            commits to an SQLite file may be lost with the power. A server's commits are on its disk in any case.
        patience_s: how long to wait for another that writes, and for a server to answer.

    Raises:
        InputError: the address is of no database that is supported, its driver is not installed, or the catalog is of
            a newer qbitel.
        OutcomeUnknownError: the database does not answer.
    """
    engine = _open(catalog, durable, patience_s)
    with transaction(engine) as connection:
        lacks = migrations.revision(connection) != migrations.newest()
    if lacks:
        migrate(catalog, patience_s=patience_s)
    return engine


def migrate(catalog: str | Path, to: str | None = None, *, patience_s: float = 30.0) -> None:
    """
    Run the steps of ``migrations`` that a catalog lacks, up to the newest or to the one of that number.

    Raises:
        As ``open_engine`` does.
    """
    engine = _open(catalog, True, patience_s)  # durable: SQLite's own transactions leave the making of tables out
    try:
        with transaction(engine, _TABLES) as connection:
            migrations.upgrade(connection, to)
    finally:
        engine.dispose()


def _open(catalog: str | Path, durable: bool, patience_s: float) -> Engine:
    if is_server(str(catalog)):
        return _open_server(str(catalog), patience_s)
    return _open_file(Path(catalog), durable, patience_s)


@contextmanager
def transaction(engine: Engine, *streams: str) -> Iterator[Connection]:
    """
    Give a transaction; those that name the same stream run one after the other.

    Raises:
        OutcomeUnknownError: the database fails.
    """
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                for stream in sorted(set(streams)):
                    connection.execute(_LOCK, {"stream": stream})
            yield connection
    except DBAPIError as error:
        raise OutcomeUnknownError(f"the database failed: {error.orig}", where="catalog") from error


def guard_of(engine: Engine) -> Dependency:
    """Return what watches over the calls to a database: one for each pool of connections."""
    with _GUARDS_LOCK:
        found = _GUARDS.get(engine.pool)
        if found is None:
            found = _GUARDS[engine.pool] = Dependency("catalog", _FAILURES, size=_CONNECTIONS)
        return found


@contextmanager
def session_of(engine: Engine) -> Iterator[Session]:
    """
    Give a session whose failing counts against the database.

    Raises:
        UnavailableError: the database fails, or failed too often just now and is not asked.
    """
    with guard_of(engine).using(), Session(engine) as opened:
        yield opened


def scrub(engine: Engine) -> None:
    """
    Let the files of an SQLite database hold nothing of deleted rows; a server's are the server's.

    SQLite overwrites such rows (``secure_delete``) once its write-ahead log is worked off; who reads meanwhile delays
    that until the log is next emptied.
    """
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()  # a checkpoint is refused within a transaction
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:stream, 0))")


def aware(moment: datetime) -> datetime:
    """Return the moment with its zone: SQLite keeps none, and everything that was written is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _open_file(path: Path, durable: bool, patience_s: float) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": patience_s})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        synchronous = f"synchronous={'FULL' if durable else 'NORMAL'}"
        _write_ahead(connection, patience_s)
        for pragma in ("secure_delete=ON", synchronous, "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        if durable:
            connection.isolation_level = None  # or the driver begins transactions itself, as late as it can

    if durable:

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN" if _reads(connection) else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: Any, patience_s: float) -> None:
    """Turn the write-ahead log on; of several that open a new file SQLite refuses some at once."""
    until = monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except OperationalError:
            if monotonic() > until:
                raise
            sleep(_AGAIN_S)


def _open_server(catalog: str, patience_s: float) -> Engine:
    waits = f"{int(patience_s * 1000)}ms"
    session = {**_SESSION, "statement_timeout": waits, "lock_timeout": waits}
    try:
        engine = create_engine(
            _server_url(catalog), connect_args={"connect_timeout": _CONNECT_S, **_PEER_TIMES}, pool_pre_ping=True,
            # Each statement sees what is committed when it begins, so also what the lock before it waited for.
            isolation_level="READ COMMITTED", pool_size=_CONNECTIONS, max_overflow=_CONNECTIONS,
        )  # fmt: skip
    except ImportError as error:
        raise InputError(f"{error.name} is not installed", where=shown(catalog), hint="qbitel[cluster]") from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        for name, value in session.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
        durable = "SELECT set_config('synchronous_commit', 'on', false)"
        connection.execute(f"{durable} WHERE current_setting('synchronous_commit') = 'off'")
        connection.commit()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if _reads(connection):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def _reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("reads", False))


def _server_url(catalog: str) -> URL:
    try:
        url = make_url(catalog)
    except ArgumentError as error:
        raise InputError("not the address of a database", where="catalog") from error
    if url.drivername not in _SERVERS:
        hint = "a file of SQLite, or postgresql://user:password@host/database"
        raise InputError(f"no catalog is kept in {url.drivername}", where="catalog", hint=hint)
    return url.set(drivername=_SERVERS[1])
