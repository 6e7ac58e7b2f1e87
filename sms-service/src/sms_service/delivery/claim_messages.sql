-- Claims a batch of queued messages and begins the first attempt of each.
-- Rows are locked in the order of their keys before any is changed, because batches of two workers may overlap.
with requested_claims as (
    select * from json_to_recordset(:claims::json)
        as requested_claims (message_id uuid, version int, sender text, segments int)
), locked_messages as (
    select message_id from messages where message_id = any (:message_ids::uuid[]) order by message_id for update
), claimed_messages as (
    update messages m set state = 'sending', sender = r.sender, claimed_at = now(), version = m.version + 1
    from requested_claims r join locked_messages using (message_id)
    where m.message_id = r.message_id and m.version = r.version and m.state = 'queued' and now() < m.expires_at
    returning m.message_id, m.verification_id, m.phone_ref, m.sender, r.segments
), new_attempts as (
    insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, started_at)
    select message_id, 1, verification_id, phone_ref, sender, segments, now() from claimed_messages
)
select message_id, sender from claimed_messages
