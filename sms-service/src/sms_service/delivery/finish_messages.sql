-- Records the final state of a batch of messages and of their open attempts, and adds an event for each to the outbox.
-- Rows are locked in the order of their keys before any is changed, because batches of two workers may overlap.
-- Of two final states of one message in a batch, one is recorded. The result names the events of those recorded.
with final_states as (
    select * from json_to_recordset(:final_states::json) as final_states (
        message_id uuid, version int, state text, failure text, outcome text, detail text, provider_id text,
        event_id uuid, exchange text, routing_key text, body bytea
    )
), locked_messages as (
    select message_id from messages where message_id = any (:message_ids::uuid[]) order by message_id for update
), finished_messages as (
    update messages m set
        state = f.state, failure = f.failure, finished_at = now(), phone_sealed = null, version = m.version + 1
    from final_states f join locked_messages using (message_id)
    where m.message_id = f.message_id and m.version = f.version
    returning f.*
), ended_attempts as (
    update attempts a set outcome = f.outcome, detail = f.detail, provider_id = f.provider_id, finished_at = now()
    from finished_messages f where a.message_id = f.message_id and a.finished_at is null
), new_events as (
    insert into outbox (id, exchange, routing_key, body)
    select event_id, exchange, routing_key, body from finished_messages
)
select event_id from finished_messages
