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

FORGET = "delete from known_networks where user_id = $1"

FORGET_OTHERS = """
    delete from known_networks where user_id = $1 and network <> $2
        and exists (select from known_networks where user_id = $1 and network = $2)
"""

REMEMBER_ONLY = """
    with forgotten_networks as (
        delete from known_networks where user_id = $1 and network is distinct from $2
    )
    insert into known_networks (user_id, network) select $1, $2::bigint where $2::bigint is not null
    on conflict (user_id, network) do update set proven_on = current_date
"""

FIND_OWNERS = """
    select a.phone, greatest(a.last_login_at, a.last_used_at) as seen_at, a.banned_at is not null as is_banned, array(
        select k.network from known_networks k
        where k.user_id = a.user_id and k.proven_on > current_date - $2::int
        order by k.proven_on desc limit $3
    ) as known_networks
    from accounts a where a.phone = any ($1::text[])
"""


async def forget_networks(conn: Connection, user_id: int) -> None:
    """Forget all networks of a user, inside the caller's transaction."""
    await conn.execute(FORGET, user_id)


async def forget_other_networks(conn: Connection, user_id: int, network: int | None) -> None:
    """Forget all networks of a user but this one, if it is known; otherwise none is forgotten.

    For what takes a session only, which may be stolen: who has never proved the number where they are must not make its
    owner a stranger. Inside the caller's transaction, which has locked the account.
    """
    await conn.execute(FORGET_OTHERS, user_id, network)


async def remember_only(conn: Connection, user_id: int, network: int | None) -> None:
    """Forget all networks of a user but this one, if any, from which they proved their number now.

    For what an owner does who fears that someone else was let in: that one's network must not stay known. Inside the
    caller's transaction, which has locked the account.
    """
    await conn.execute(REMEMBER_ONLY, user_id, network)


async def find_owners(conn: Connection, phones: Sequence[E164]) -> dict[E164, NumberOwner]:
    """The owner of each number that has an account, with the networks that are known to it."""
    rows = await conn.fetch(FIND_OWNERS, phones, RETENTION_DAYS, MAX_NETWORKS)
    return {E164(row["phone"]): NumberOwner(row["known_networks"], row["seen_at"], row["is_banned"]) for row in rows}
