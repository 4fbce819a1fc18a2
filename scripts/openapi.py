"""Write the OpenAPI document of the API to docs/reference/openapi.json."""

import json
from pathlib import Path

from landbridge.api.app import routed_app
from landbridge.api.openapi import describe

DOCUMENT = Path(__file__).parents[1] / "docs" / "reference" / "openapi.json"

DOCUMENT.write_text(json.dumps(describe(routed_app()), indent=1, ensure_ascii=False) + "\n")
