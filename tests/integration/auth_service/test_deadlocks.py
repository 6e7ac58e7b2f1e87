"""Log-ins whose new counters another session inserts at the same moment, on a real PostgreSQL."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address

import asyncpg
import pytest
from support.auth import Auth, fresh_address, fresh_number, fresh_secret

from shared.networks import site_of
from shared.phone import ref_hex

COUNT = """
    insert into login_limits as l (bucket, full_at) values ($1, now() + $2::interval)
    on conflict (bucket) do update set full_at = l.full_at + $2
"""
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("kind", ["", "log-ins "], ids=["failures", "successes"])
async def test_a_log_in_that_waits_in_a_circle_over_new_counters_is_tried_again(auth: Auth, kind: str) -> None:
    for _ in range(5):  # PostgreSQL ends the other session instead if that began to wait a second after the log-in
        with suppress(asyncpg.DeadlockDetectedError):
            await log_in_within_a_circle(auth, kind)
            return
    raise AssertionError("PostgreSQL never ended the log-in")


async def log_in_within_a_circle(auth: Auth, kind: str) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    await auth.register(number, secret)
    earlier = f"{kind}network {site_of(ip_address(address))}"
    later = f"{kind}number {ref_hex(auth.phones.ref(number))}"
    await auth.database.execute("delete from login_limits where bucket = $1", later)

    async with auth.database.acquire() as other, other.transaction():
        await other.execute(COUNT, earlier, SECOND)
        await auth.database.execute(COUNT, later, SECOND)
        log_in = asyncio.create_task(auth.log_in_once(number, secret, address))
        await auth.wait_for_locks(1)
        await other.execute(COUNT, later, SECOND)  # waits for the log-in, which PostgreSQL ends

    assert (await log_in).account.phone == number
