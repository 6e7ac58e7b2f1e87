-- Ends the first attempt of a message and begins the second, in one statement so that nothing comes between them.
with moved_message as (
    update messages set sender = :sender, claimed_at = now(), version = version + 1
    where message_id = :message_id and version = :version and state = 'sending' and now() < expires_at
    returning message_id, verification_id, phone_ref
), ended_attempt as (
    update attempts a set outcome = :outcome, detail = :detail, provider_id = :provider_id, finished_at = now()
    from moved_message m where a.message_id = m.message_id and a.number = 1
), new_attempt as (
    insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, started_at)
    select message_id, 2, verification_id, phone_ref, :sender, :segments, now() from moved_message
)
select message_id from moved_message
