"""``python -m auth_service`` for tests: a process of its own, with RabbitMQ out of reach."""

import asyncio
import os
import subprocess
import sys

from support.auth import Auth


async def command(auth: Auth, *words: str, **more: str) -> tuple[int | None, str]:
    """``python -m auth_service`` with RabbitMQ out of reach: its exit status and its output."""
    environ = {
        **os.environ,
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "error",
        "POSTGRES_URL": auth.settings.postgres_url,
        "AMQP_URL": "amqp://unknown:unknown@127.0.0.1:1/",
        "AUTH_DATABASE": auth.settings.auth_database,
        "PHONE_KEY": auth.settings.phone_key.get_secret_value(),
        "AUDIT_KEYS": auth.settings.audit_keys.get_secret_value(),
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", *words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    outcomes, _ = await process.communicate()
    return process.returncode, outcomes.decode()
