-- Take one of the slots of a throttled scope in this minute. A refusal writes nothing.
with taken_slot as (
    update prefix_stages set
        minute = greatest(minute, date_trunc('minute', now())),
        admitted = case when minute >= date_trunc('minute', now()) then admitted + 1 else 1 end
    where
        scope = :scope
        and stage = 2
        and (minute < date_trunc('minute', now()) or admitted < :per_minute)
    returning scope
)

select
    exists (select from taken_slot) as is_admitted,
    date_trunc('minute', now()) + interval '1 minute' - now() as until_next_minute
