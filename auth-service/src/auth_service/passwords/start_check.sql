-- Count a failure in each bucket, unless one of them is full, and find the account of the number.
-- Rows are locked in the order of their names, so two statements never wait for each other in a circle.
-- Full buckets are found before counting, so that a refused attempt counts nowhere and attempts at one number cannot
-- use up the limit of their network; and after it, for statements that inserted the same row at once.
with limits as (
    select bucket, max_failures
    from unnest(:buckets::text[], :max_failures::int[]) as limits (bucket, max_failures)
), locked_failures as (
    select bucket, failures, resets_at
    from login_failures
    where bucket = any (:buckets::text[])
    order by bucket
    for update
), full_buckets as (
    select resets_at
    from locked_failures join limits using (bucket)
    where failures >= max_failures and resets_at > now()
), counted_failures as (
    insert into login_failures as f (bucket, failures, resets_at)
    select bucket, 1, now() + interval '15 minutes'
    from limits
    where not exists (select from full_buckets)
    order by bucket
    on conflict (bucket) do update set
        failures = case when f.resets_at > now() then f.failures + 1 else 1 end,
        resets_at = case when f.resets_at > now() then f.resets_at else excluded.resets_at end
    returning bucket, failures, resets_at
), exceeded_buckets as (
    select resets_at
    from counted_failures join limits using (bucket)
    where failures > max_failures
), refused_until as (
    select max(resets_at) as refused_until
    from (select resets_at from full_buckets union all select resets_at from exceeded_buckets) as blocking_buckets
)
select
    coalesce(ceil(extract(epoch from refused_until - now()))::int, 0) as retry_after,
    (select array_agg(bucket order by bucket) from counted_failures) as counted_buckets,
    (select array_agg(resets_at order by bucket) from counted_failures) as counted_windows,
    a.*
from refused_until left join accounts a on a.phone = :phone
