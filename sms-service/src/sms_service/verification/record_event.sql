-- Store a verification event and publish it, under one id. A number's refusals are stored only up to the daily limit,
-- and published all the same.
with stored_events as (
    insert into verification_events (
        id, phone_ref, verification_id, at, kind, purpose, dialect, network, detail, retry_after, tries_left
    )
    select (:ids::uuid[])[1], :phone_ref, :verification_id, now(), :kind, :purpose, :dialect, :network, :detail,
        :retry_after, :tries_left
    where :kind::text <> 'refused' or (
        select count(*) from (
            select from verification_events
            where phone_ref = :phone_ref and kind = 'refused' and at > now() - interval '1 day'
            limit :max_refusals
        ) as refusals
    ) < :max_refusals
)
insert into outbox (id, exchange, routing_key, body)
select * from unnest(:ids::uuid[], :exchanges::text[], :routing_keys::text[], :bodies::bytea[])
