"""Name the query parameters that several lists share, as the OpenAPI document shows them (contract 1.5)."""

from typing import Any

from landbridge.api.operations import Parameter

SERVICE_NAME = Parameter(
    "endpoint_service_name",
    "A part of the service's full name; case does not count.",
    {"type": "string", "maxLength": 128},
)


def choice(*words: str) -> dict[str, Any]:
    """Return the schema of a parameter that is one of these words."""
    return {"type": "string", "enum": list(words)}


def exactly(name: str, thing: str) -> Parameter:
    """Return a filter that is equal to an id, not a part of one."""
    return Parameter(name, f"The {thing} with this very id.", {"type": "string", "maxLength": 128})


def paging(longest: int = 1000) -> tuple[Parameter, ...]:
    """Return limit, offset and order of a list with at most `longest` entries a page."""
    return (
        Parameter(
            "limit",
            f"How many entries at most, 0 to {longest}; 0 only counts.",
            {"type": "integer", "minimum": 0, "maximum": longest, "default": 10},
        ),
        Parameter(
            "offset",
            "How many entries to skip; beyond the end the page is empty.",
            {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
        ),
        Parameter(
            "sort_key",
            "Order by the moment of creation or of the last change.",
            choice("create_at", "created_at", "update_at", "updated_at"),
        ),
        Parameter("sort_dir", "`desc` shows the newest first.", choice("asc", "desc")),
    )
