-- The traffic of the last hour: of each prefix in a stage, and of each suspect (many sends, few of them verified).
-- A prefix that was cleared is judged by the traffic after that. Networks and countries are sums over their ranges.
with staged as materialized (
    select split_part(scope, ':', 1) as kind, split_part(scope, ':', 2) as prefix, cleared_at
    from prefix_stages
),

recent as not materialized (
    select
        starts_at, range, network, country, sent, verified, spent,
        starts_at <= now() - :settle_time::interval as is_settled
    from prefix_traffic
    where starts_at > now() - :period::interval
)

select
    'range:' || recent.range as scope,
    coalesce(sum(recent.sent) filter (where recent.is_settled), 0)::bigint as settled,
    coalesce(sum(recent.verified) filter (where recent.is_settled), 0)::bigint as settled_verified,
    coalesce(sum(recent.sent) filter (where not recent.is_settled), 0)::bigint as young,
    coalesce(sum(recent.verified) filter (where not recent.is_settled), 0)::bigint as young_verified,
    sum(recent.spent)::bigint as spent
from recent
left join staged on staged.kind = 'range' and staged.prefix = recent.range
where staged.cleared_at is null or recent.starts_at > staged.cleared_at
group by recent.range
having
    (sum(recent.sent) >= :min_sent and sum(recent.verified) * 100 < sum(recent.sent) * :percent)
    or bool_or(staged.kind is not null)

union all

select
    'network:' || recent.network as scope,
    coalesce(sum(recent.sent) filter (where recent.is_settled), 0)::bigint as settled,
    coalesce(sum(recent.verified) filter (where recent.is_settled), 0)::bigint as settled_verified,
    coalesce(sum(recent.sent) filter (where not recent.is_settled), 0)::bigint as young,
    coalesce(sum(recent.verified) filter (where not recent.is_settled), 0)::bigint as young_verified,
    sum(recent.spent)::bigint as spent
from recent
left join staged on staged.kind = 'network' and staged.prefix = recent.network
where staged.cleared_at is null or recent.starts_at > staged.cleared_at
group by recent.network
having
    (sum(recent.sent) >= :min_sent and sum(recent.verified) * 100 < sum(recent.sent) * :percent)
    or bool_or(staged.kind is not null)

union all

select
    'country:' || recent.country as scope,
    coalesce(sum(recent.sent) filter (where recent.is_settled), 0)::bigint as settled,
    coalesce(sum(recent.verified) filter (where recent.is_settled), 0)::bigint as settled_verified,
    coalesce(sum(recent.sent) filter (where not recent.is_settled), 0)::bigint as young,
    coalesce(sum(recent.verified) filter (where not recent.is_settled), 0)::bigint as young_verified,
    sum(recent.spent)::bigint as spent
from recent
left join staged on staged.kind = 'country' and staged.prefix = recent.country
where staged.cleared_at is null or recent.starts_at > staged.cleared_at
group by recent.country
having
    (sum(recent.sent) >= :min_sent and sum(recent.verified) * 100 < sum(recent.sent) * :percent)
    or bool_or(staged.kind is not null)
