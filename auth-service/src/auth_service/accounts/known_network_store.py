"""The networks from which users proved their numbers: the table ``known_networks``.

A caller from one of them is known to the number, and no stranger can use up its limits. A network counts for 90 days
after the last right code or right password, and a user has 8 of them at most.
"""

from collections.abc import Sequence

from auth_service.accounts.model import NumberOwner
from shared.phone import E164
from shared.postgres import Connection

MAX_NETWORKS = 8
RETENTION_DAYS = 90

# A network that was proven today is found by an index and changes nothing.
REMEMBER = """
    with forgotten_networks as (
        delete from known_networks where user_id = $1 and network in (
            select network from known_networks where user_id = $1 and network <> $2
            order by proven_on desc, network asc offset $3
        )
    )
    insert into known_networks (user_id, network)
    select $1, $2 where not exists (
        select from known_networks where user_id = $1 and network = $2 and proven_on = current_date
    )
    on conflict (user_id, network) do update set proven_on = current_date
"""

FORGET = "delete from known_networks where user_id = $1"

FIND_OWNERS = """
    select a.phone, greatest(a.last_login_at, a.last_used_at) as seen_at, a.banned_at is not null as is_banned, array(
        select k.network from known_networks k
        where k.user_id = a.user_id and k.proven_on > current_date - $2::int
        order by k.proven_on desc limit $3
    ) as known_networks
    from accounts a where a.phone = any ($1::text[])
"""


async def remember_network(conn: Connection, user_id: int, network: int | None) -> None:
    """Note that the user proved their number from this network today, if any, inside the caller's transaction."""
    if network is not None:
        await conn.execute(REMEMBER, user_id, network, MAX_NETWORKS - 1)


async def forget_networks(conn: Connection, user_id: int) -> None:
    """Forget all networks of a user, inside the caller's transaction."""
    await conn.execute(FORGET, user_id)


async def find_owners(conn: Connection, phones: Sequence[E164]) -> dict[E164, NumberOwner]:
    """The owner of each number that has an account, with the networks that are known to it."""
    rows = await conn.fetch(FIND_OWNERS, phones, RETENTION_DAYS, MAX_NETWORKS)
    return {E164(row["phone"]): NumberOwner(row["known_networks"], row["seen_at"], row["is_banned"]) for row in rows}
