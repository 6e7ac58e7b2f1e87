"""The official JSON Schema of AsyncAPI documents, from the npm package of its authors."""

import json
from functools import cache
from typing import Any

from support.tools import node_modules

SCHEMA = "@asyncapi/specs/schemas/3.0.0-without-$id.json"


@cache
def schema() -> dict[str, Any]:
    """The schema of AsyncAPI 3.0.0. Skips the test with the reason if it cannot be installed."""
    return dict(json.loads((node_modules() / SCHEMA).read_text()))
