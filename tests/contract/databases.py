"""The same look at both kinds of database, past the store."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Engine, create_engine

from tests.postgresql import connecting


@contextlib.contextmanager
def engine_of(place: str) -> Iterator[Engine]:
    """Open a database: a file's path, or a server's address."""
    if place.startswith("/"):
        engine = create_engine(f"sqlite:///{place}")
    else:
        # As usual: transactions begin by themselves.
        def connect() -> object:
            raw = connecting(place)()
            raw.autocommit = False
            return raw

        engine = create_engine("postgresql+psycopg://", creator=connect)
    try:
        yield engine
    finally:
        engine.dispose()
