"""The JSON Schema of AsyncAPI documents, as their makers publish it: fetched once, checked, kept under .local."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "@asyncapi/specs@6.11.1"
SHA512 = "A3WBLqAKGoJ2+6FWFtpjBlCQ1oFCcs4GxF7zsIGvNqp/klGUHjlA3aAcZ9XMMpLGE8zPeYDz2x9FmO6DSuKraQ=="
SCHEMA = "package/schemas/3.0.0-without-$id.json"
KEPT = Path(__file__).parents[2] / ".local" / "asyncapi-specs-6.11.1.tgz"


@cache
def schema() -> dict[str, Any]:
    """The schema of AsyncAPI 3.0.0. Skips the test, and says so, where it is not here and cannot be fetched."""
    if not KEPT.is_file() and (reason := _fetch()):
        pytest.skip(f"no schema to validate AsyncAPI with: {reason}")
    raw = KEPT.read_bytes()
    assert base64.b64encode(hashlib.sha512(raw).digest()).decode() == SHA512
    with tarfile.open(fileobj=io.BytesIO(raw)) as package:
        found = package.extractfile(SCHEMA)
        assert found is not None
        return json.load(found)


def _fetch() -> str:
    """Fetch the package with npm; why not, if not."""
    if shutil.which("npm") is None:
        return "npm is not installed"
    KEPT.parent.mkdir(exist_ok=True)
    command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", str(KEPT.parent)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=KEPT.parent)
    except subprocess.TimeoutExpired:
        return "npm took longer than a minute"
    return "" if done.returncode == 0 and KEPT.is_file() else f"npm pack ended with {done.returncode}"
