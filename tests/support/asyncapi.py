"""The official JSON Schema of AsyncAPI documents: downloaded once, verified, and stored under .local."""

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
ARCHIVE = Path(__file__).parents[2] / ".local" / "asyncapi-specs-6.11.1.tgz"


@cache
def schema() -> dict[str, Any]:
    """The schema of AsyncAPI 3.0.0. Skips the test with the reason if it cannot be downloaded."""
    if not ARCHIVE.is_file() and (reason := _download()):
        pytest.skip(f"no schema to validate AsyncAPI with: {reason}")
    raw = ARCHIVE.read_bytes()
    assert base64.b64encode(hashlib.sha512(raw).digest()).decode() == SHA512
    with tarfile.open(fileobj=io.BytesIO(raw)) as package:
        file = package.extractfile(SCHEMA)
        assert file is not None
        return json.load(file)


def _download() -> str:
    """Download the package with npm. Returns the reason if that fails, otherwise an empty text."""
    if shutil.which("npm") is None:
        return "npm is not installed"
    ARCHIVE.parent.mkdir(exist_ok=True)
    command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", str(ARCHIVE.parent)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=ARCHIVE.parent)
    except subprocess.TimeoutExpired:
        return "npm took longer than a minute"
    succeeded = done.returncode == 0 and ARCHIVE.is_file()
    return "" if succeeded else f"npm pack failed with exit status {done.returncode}"
