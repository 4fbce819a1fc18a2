"""Describe the whole API as an OpenAPI document, from the routes themselves.

The same routes give the same document on every machine, so the committed copy can be compared with it. Nothing of a
running server is in it. What every answer and every path has in common is said here once; the rest stands where the
routes, bodies and answers are declared.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from fastapi import FastAPI, routing
from fastapi.openapi.utils import get_openapi

from landbridge.api.answer_fields import PROJECT_ID_PATTERN, UUID_PATTERN
from landbridge.api.operations import ACTION, BODY_SCHEMAS, is_of_vpc_api
from landbridge.api.policy import POLICY, PUBLIC
from landbridge.domain.errors import OperatorError

Json = dict[str, Any]

ROLES = "x-landbridge-roles"
"""Which roles in the project allow an operation."""

_DESCRIPTION: Final = """\
VPC endpoints, the networks that they are in, and who may use them.

Three APIs share one HOST:PORT: the VPC Endpoint (VPCEP) API v1 and the VPC API v1 below `/v1/{project_id}`, and
identity below `/v3`, which is there unless a Keystone knows the users. Ask identity for a token and send it in
`X-Auth-Token`, or sign requests with an access key.

Unknown members of a body, unknown query parameters and unknown headers are ignored. null means absent.
"""
_TAGS: Final = {
    "identity": "Sign in, and ask about oneself (contract of Keystone's API v3).",
    "endpoint services": "What providers offer.",
    "connections": "Endpoints as the providers of their services see them.",
    "permissions": "Which domains may connect to a service.",
    "endpoints": "What consumers use services by.",
    "quotas": "How many services and endpoints a project may have.",
    "networks": "VPCs, subnets, ports and route tables of the built-in directory.",
    "tags": "Labels of services and endpoints, and what is found by them.",
    "diagnosis": "Whether backends take connections, and what happens to one on its way: an extension of the contract.",
    "versions": "Which versions of the VPCEP API there are.",
}
_SECURITY_SCHEMES: Final[Json] = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "A token of `POST /v3/auth/tokens`, scoped to the project of the path.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": (
            "A signature with an access key: `SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…`, with the moment "
            "in `X-Sdk-Date`. With a token beside it, the signature counts."
        ),
    },
}
_ID: Final[Json] = {"type": "string", "pattern": UUID_PATTERN}
_PATH_PARAMETERS: Final[Mapping[str, tuple[str, Json]]] = {
    "project_id": ("The project in which the caller acts.", {"type": "string", "pattern": PROJECT_ID_PATTERN}),
    "service_id": ("The endpoint service.", _ID),
    "permission_id": ("The permission.", _ID),
    "endpoint_id": ("The endpoint.", _ID),
    "resource_id": ("The endpoint service or the endpoint.", _ID),
    "vpc_id": ("The VPC.", _ID),
    "subnet_id": ("The subnet.", _ID),
    "port_id": ("The port.", _ID),
    "routetable_id": ("The route table.", _ID),
    "version": ("The version of the API.", {"type": "string", "pattern": "^v[0-9]{1,3}$", "examples": ["v1"]}),
}
_REQUEST_ID: Final[Json] = {
    "description": "The id of the request: quote it when you ask the operator.",
    "required": True,
    "schema": {"type": "string", "pattern": "^req-[0-9a-f]{32}$"},
}
_HEADERS: Final[Json] = {
    "X-Request-Id": _REQUEST_ID,
    "X-Openstack-Request-Id": {**_REQUEST_ID, "description": "The same, under OpenStack's name."},
    "Retry-After": {
        "description": "In how many seconds to try again; after too many requests only.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-Subject-Token": {
        "description": "The token that the answer is about.",
        "required": True,
        "schema": {"type": "string"},
    },
}
_SUBJECT_TOKEN: Final[Json] = {
    "name": "X-Subject-Token",
    "in": "header",
    "required": True,
    "description": "The token that the question is about.",
    "schema": {"type": "string", "minLength": 1},
}
_REFUSAL_NAMES: Final = {
    400: "BadRequest",
    401: "Unauthenticated",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    500: "Fault",
    503: "Unavailable",
}


def describe(app: FastAPI) -> Json:
    """Return the OpenAPI 3.1 document of the app's routes, those left out that are not for clients.

    Raises:
        OperatorError: two bodies have the same name, or a path has a parameter that nobody has described.
    """
    document = get_openapi(
        title="Landbridge",
        version="v1",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    components = document.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    refusals: Json = {}
    for path, operation in _operations(document):
        _add_bodies(schemas, operation.pop(BODY_SCHEMAS, {}))
        _describe_operation(path, operation)
        for status, response in operation["responses"].items():
            response["headers"] = _headers_of(operation["operationId"], status)
        _share_refusals(path, operation["responses"], refusals)
    for left_over in ("HTTPValidationError", "ValidationError"):
        schemas.pop(left_over, None)
    components["schemas"] = {name: _without_titles(schemas[name]) for name in sorted(schemas)}
    components["responses"] = dict(sorted(refusals.items()))
    components["headers"] = _HEADERS
    components["securitySchemes"] = _SECURITY_SCHEMES
    return document


def operations_of(app: FastAPI) -> Iterator[tuple[str, str, str | None]]:
    """Return method, path and action of every route, the undocumented ones included; None: it names no action."""
    for context in routing.iter_route_contexts(app.routes):
        extra = cast("Json", getattr(context, "openapi_extra", None) or {})
        for method in sorted(getattr(context, "methods", None) or ()):
            yield method, str(context.path), extra.get(ACTION)


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _add_bodies(schemas: Json, bodies: Json) -> None:
    for name, schema in bodies.items():
        if schemas.setdefault(name, schema) != schema:
            raise OperatorError(f"two different shapes are called {name}: rename one of the two classes")


def _describe_operation(path: str, operation: Json) -> None:
    action = operation[ACTION]
    if action in POLICY:
        operation[ROLES] = sorted(POLICY[action])
    operation["security"] = [] if action == PUBLIC else [{name: []} for name in _SECURITY_SCHEMES]
    # The summary is the first sentence of the docstring already.
    _, _, rest = operation.pop("description", "").partition("\n")
    if rest.strip():
        operation["description"] = rest.strip()
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            _describe_path_parameter(path, parameter)
    if operation["operationId"] == "show_token":
        parameters.append(_SUBJECT_TOKEN)
    if not parameters:
        del operation["parameters"]
    # FastAPI would refuse what its own checks find. Our routes leave all checks to `requests` and the domain.
    operation["responses"].pop("422", None)
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _describe_path_parameter(path: str, parameter: Json) -> None:
    if parameter["schema"].get("enum"):
        parameter["schema"] = _without_titles(parameter["schema"])
        return
    if parameter["name"] not in _PATH_PARAMETERS:
        raise OperatorError(f"{path}: nobody has described the parameter {parameter['name']} of this path")
    parameter["description"], parameter["schema"] = _PATH_PARAMETERS[parameter["name"]]


def _headers_of(operation_id: str, status: str) -> Json:
    names = ["X-Request-Id", "X-Openstack-Request-Id"]
    if status == "400":
        names.append("Retry-After")
    if operation_id in {"issue_token", "show_token"} and status in {"200", "201"}:
        names.append("X-Subject-Token")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _share_refusals(path: str, responses: Json, refusals: Json) -> None:
    """Replace each refusal by a reference to the one that all routes of its API have."""
    api = "Identity" if path.startswith("/v3") else "Network" if is_of_vpc_api(path) else ""
    for status, response in responses.items():
        if int(status) in _REFUSAL_NAMES:
            name = api + _REFUSAL_NAMES[int(status)]
            refusals[name] = response
            responses[status] = {"$ref": f"#/components/responses/{name}"}


def _without_titles(schema: Any) -> Any:
    """Return a schema without the titles that Pydantic makes from the names of fields and classes."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    members = cast("Json", schema)
    return {
        name: {field: _without_titles(item) for field, item in value.items()}
        if name == "properties"
        else _without_titles(value)
        for name, value in members.items()
        if name != "title" or not isinstance(value, str)
    }
