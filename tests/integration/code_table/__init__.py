"""Say what is wrong with which request: one row for each check of contract section 6."""

from tests.integration.code_table import connections, endpoints, public_services, requests, services, tags
from tests.integration.code_table.row import Row

TABLE: list[Row] = [
    *requests.ROWS,
    *services.ROWS,
    *connections.ROWS,
    *endpoints.ROWS,
    *tags.ROWS,
    *public_services.ROWS,
]
