"""Redis (or Valkey): one client for each process with a short deadline and no retries; scripts in ``.lua`` files."""

from shared.redis.client import client
from shared.redis.script import Script

__all__ = ["Script", "client"]
