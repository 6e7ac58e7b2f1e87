-- The log-ins with a client or from a network that is not among the last 1,000 log-ins of their user. A network is new
-- only to a user with known networks, and nothing is new at the first log-in of an imported user. A session has the
-- time of its audit entry: one transaction writes both.
with log_ins as (
    select * from audit_log
    where at >= :since and at < :until and action = any (:log_ins::text[]) and user_id is not null
), compared as (
    select
        l.action, l.user_id, l.network, l.dialect, l.client, l.at,
        not coalesce(earlier.knows_client or earlier.is_import_alone, false) as is_new_client,
        l.network <> '' and earlier.has_networks and not earlier.knows_network as is_new_network
    from log_ins l
    cross join lateral (
        select
            bool_or(e.client = l.client and e.dialect = l.dialect) as knows_client,
            bool_or(e.network = l.network) as knows_network,
            bool_and(e.action = :imported) as is_import_alone,
            coalesce(bool_or(e.network <> ''), false) as has_networks
        from (
            select action, client, dialect, network from audit_log
            where user_id = l.user_id and at < l.at
                and (action = any (:log_ins::text[]) or action in (:registered, :imported))
            order by at desc limit 1000
        ) as e
    ) as earlier
)
select
    count(*) over () as total, c.action, c.user_id, s.session_id, c.network, c.dialect, c.client, c.at,
    c.is_new_client, c.is_new_network
from compared c left join sessions s on s.user_id = c.user_id and s.opened_at = c.at
where c.is_new_client or c.is_new_network
order by c.at
limit :max_events
