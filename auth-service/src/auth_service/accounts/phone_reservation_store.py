"""Reserving a number for an account that is about to get it.

An update has no "on conflict do nothing", and PostgreSQL logs the key of a unique violation: a clear number. So the
number is reserved first, with a row that no other transaction ever sees. Other requests for the number wait for this
transaction, even after the row is deleted.
"""

from auth_service.accounts.user_ids import new_user_id
from shared.phone import E164
from shared.postgres import Connection

RESERVE = """
    insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')
    on conflict do nothing returning user_id
"""
DELETE_RESERVATION = "delete from accounts where user_id = $1"


async def reserve_phone(conn: Connection, phone: E164) -> bool:
    """Keep the number free until the transaction ends. False when an account has it."""
    reservation = await conn.fetchval(RESERVE, new_user_id(), phone)
    if reservation is None:
        return False
    await conn.execute(DELETE_RESERVATION, reservation)
    return True
