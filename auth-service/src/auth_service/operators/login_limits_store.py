"""The counters of log-ins of one number, for operators: the table ``login_limits``."""

from shared.internal_api.operators.accounts import LiftLoginLimits, LoginLimitsLifted
from shared.phone import PhoneKeys, ref_hex
from shared.postgres import Pool, connection

# In the order in which every statement locks them.
FORGET = """
    delete from login_limits where bucket in (
        select bucket from login_limits
        where bucket in ('log-ins number ' || $1, 'number ' || $1) or bucket like 'number ' || $1 || ' %'
        order by bucket for update
    )
    returning bucket
"""


class NumberLoginLimits:
    """Forgets what counts on a number. Counters of networks and apps stay."""

    def __init__(self, pool: Pool, phones: PhoneKeys) -> None:
        self._pool = pool
        self._phones = phones

    async def lift(self, request: LiftLoginLimits) -> LoginLimitsLifted:
        """Forget the number's failed log-ins and its recent ones."""
        async with connection(self._pool) as conn:
            forgotten = await conn.fetch(FORGET, ref_hex(self._phones.ref(request.phone)))
        return LoginLimitsLifted(counters=len(forgotten))
