"""Numbers that an account left: the table ``freed_numbers``. A ticket made before that moment opens no new account.

A row has a keyed mark of the number, which cannot be linked to the erased account, and is deleted when every ticket of
its time has expired.
"""

from shared.phone import E164, PhoneKeys
from shared.postgres import Connection

FREE = """
    insert into freed_numbers (mark) values ($1)
    on conflict (mark) do update set freed_at = excluded.freed_at
"""

EVERY_NUMBER = b""
"""The mark that stands for every number."""


async def free_number(conn: Connection, phones: PhoneKeys, number: E164) -> None:
    """Note that an account leaves this number, inside the caller's transaction."""
    await conn.execute(FREE, phones.mark(number))


async def free_every_number(conn: Connection) -> None:
    """Let no ticket that was made before now open an account, inside the caller's transaction."""
    await conn.execute(FREE, EVERY_NUMBER)
