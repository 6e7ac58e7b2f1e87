-- Forget the codes of a number from before its account was erased, and from which networks they were asked for.
-- The number's row is locked first, as in every statement that changes a number. Its counts stay, so that erasing an
-- account lifts no limit, and only the networks go. A code that was requested after the erasure is someone else's.
-- A message that still waits expires: the worker or its sweep ends it, which deletes the sealed number.
with forgotten_networks as (
    update number_activity set
        send_networks = array_fill(''::text, array[cardinality(sends)]),
        failure_networks = array_fill(''::text, array[cardinality(failures)]),
        version = version + 1
    where phone_ref = :phone_ref
        and not exists (select from verifications where phone_ref = :phone_ref and created_at > :erased_at)
    returning phone_ref
), forgotten_verifications as (
    delete from verifications v using (select count(*) from forgotten_networks) as after_networks
    where v.phone_ref = :phone_ref and v.created_at <= :erased_at
    returning 1
), waiting_messages as (
    select message_id from messages
    where state = 'queued' and phone_ref = :phone_ref and created_at <= :erased_at
    order by message_id for update
), expired_messages as (
    update messages m set expires_at = least(m.expires_at, now())
    from waiting_messages w where m.message_id = w.message_id
)
select count(*) from forgotten_verifications
