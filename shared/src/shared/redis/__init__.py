"""Redis (or Valkey): a client of one server, of what Sentinels watch or of a Cluster, and scripts in ``.lua`` files."""

from shared.redis.clients import AnyRedis, client
from shared.redis.script import Script

__all__ = ["AnyRedis", "Script", "client"]
