"""Serve the API's own description: the OpenAPI document, and a page on which people read it.

Nobody has to sign in for it. The page works offline: its script and style come from this server, and its policy lets
nothing else in.
"""

import asyncio
import json
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from landbridge.api.openapi import describe
from landbridge.api.operations import operation
from landbridge.api.policy import PUBLIC
from landbridge.domain.errors import RouteNotFound

router = APIRouter(tags=["description"])

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Landbridge API</title>
<link rel="icon" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  validatorUrl: null,
});
"""
_FILES = Path(fastapi_offline.__file__).parent / "static"
_FILE_TYPES = {
    "favicon.png": "image/png",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}
_HEADERS = {
    # No script, style or picture but our own, and no page around ours; data: for the pictures in Swagger's style sheet.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "max-age=3600",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@operation(router, "GET", "/openapi.json", action=PUBLIC, is_documented=False)
async def show_document(request: Request) -> Response:
    """Show the OpenAPI document of this API."""
    app = request.app
    if app.state.document is None:
        # In a thread, because it takes longer than a data plane should have to wait.
        document = await asyncio.to_thread(describe, app)
        app.state.document = json.dumps(document, ensure_ascii=False).encode()
    return Response(app.state.document, media_type="application/json", headers={"Cache-Control": "max-age=3600"})


@operation(router, "GET", "/docs", action=PUBLIC, is_documented=False)
async def show_page() -> Response:
    """Show the API as a page."""
    return Response(_PAGE, media_type="text/html", headers=_HEADERS)


@operation(router, "GET", "/docs/{file}", action=PUBLIC, is_documented=False)
async def show_file(file: str) -> Response:
    """Show a file that the page needs."""
    if file == "start.js":
        return Response(_START, media_type="text/javascript", headers=_HEADERS)
    if file not in _FILE_TYPES:
        raise RouteNotFound("there is no such path")
    return FileResponse(_FILES / file, media_type=_FILE_TYPES[file], headers=_HEADERS)
