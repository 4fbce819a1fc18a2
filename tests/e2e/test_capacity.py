"""A real server tells its database which of its edges are nearly full."""

import contextlib
import sqlite3
import time

from tests.e2e.deployment import Deployment, as_root_and_user


def full_edges(deployment: Deployment) -> tuple[str | None, str | None]:
    """Return the pool's nearly full edges, and when somebody looked, as the database has them."""
    database = f"file:{deployment.state / 'landbridge.sqlite3'}?mode=ro"
    with contextlib.closing(sqlite3.connect(database, uri=True)) as connection:
        return connection.execute("SELECT full_edges, full_edges_seen_at FROM pools").fetchone()


@as_root_and_user
def test_a_server_looks_at_the_kernels_tables_and_writes_down_that_none_is_full(deployment: Deployment):
    deployment.serve()
    deployment.accepted_endpoint()

    deadline = time.monotonic() + 90
    while None in (found := full_edges(deployment)):
        assert time.monotonic() < deadline, "nothing was written down"
        time.sleep(0.2)

    assert found[0] == "[]"
