-- Count a failure in each bucket, unless a narrow one is full, and find the account of the number.
-- A bucket is a moment: when all that it allows is allowed again. Each failure moves it by one interval.
-- Rows are locked in the order of their names, so statements over rows that exist never wait for each other in a
-- circle. Over new rows they may, as deadlocks.py says: then one of them is tried again.
-- Full buckets are found before counting, so that an attempt that a narrow one refuses counts nowhere and attempts at
-- one number cannot use up the limit of their network; and after it, for statements that inserted the same row at once.
-- A full wide bucket counts nothing itself. A number is known to a network for 90 days, as known_network_store.py says.
with limits as (
    select bucket, each_takes, period, is_wide
    from unnest(:buckets::text[], :intervals::interval[], :periods::interval[], :is_wide::bool[])
        as limits (bucket, each_takes, period, is_wide)
), locked_buckets as (
    select bucket, full_at
    from login_limits
    where bucket = any (:buckets::text[])
    order by bucket
    for update
), full_buckets as (
    select bucket, is_wide, full_at + each_takes - period as free_at
    from locked_buckets join limits using (bucket)
    where full_at + each_takes > now() + period
), counted_failures as (
    insert into login_limits as l (bucket, full_at)
    select bucket, now() + each_takes
    from limits
    where not exists (select from full_buckets where not is_wide)
        and bucket not in (select bucket from full_buckets)
    order by bucket
    on conflict (bucket) do update set full_at = greatest(l.full_at, now()) + (excluded.full_at - now())
    returning bucket, full_at
), exceeded_buckets as (
    select is_wide, full_at - period as free_at
    from counted_failures join limits using (bucket)
    where full_at > now() + period
), blocking_buckets as (
    select is_wide, ceil(extract(epoch from free_at - now()))::int as seconds
    from (select is_wide, free_at from full_buckets union all select is_wide, free_at from exceeded_buckets) as buckets
), refusal as (
    select
        coalesce(max(seconds) filter (where not is_wide), 0) as retry_after,
        coalesce(max(seconds) filter (where is_wide), 0) as known_only
    from blocking_buckets
)
select
    retry_after, known_only,
    (select array_agg(bucket order by bucket) from counted_failures) as counted_buckets,
    exists (
        select from known_networks k
        where k.user_id = a.user_id and k.network = :known_network::bigint
            and k.proven_on > current_date - :known_days::int
    ) as is_known,
    a.*
from refusal left join accounts a on a.phone = :phone
