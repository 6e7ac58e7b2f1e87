-- The failed log-ins of whole minutes, as one row for each kind, number, network and minute, the largest counts first.
-- Rows without a number belong to an erased account. ``total`` is the number of rows without the limit.
select
    count(*) over () as total, action, phone_ref, network, max(user_id) as user_id,
    min(dialect) as dialect, min(client) as client, count(*) as failures, min(at) as first_at, max(at) as last_at
from audit_log
where at >= :since and at < :until and action = any (:actions::text[]) and phone_ref is not null
group by date_trunc('minute', at), action, phone_ref, network
order by failures desc, first_at asc
limit :max_events
