-- Enter a stage and put its event in the outbox; neither if the scope has another version by now.
with changed_stage as (
    insert into prefix_stages as stages (scope, stage, since, until, blocks, version)
    values (:scope, :stage, now(), now() + :duration::interval, :blocks, :version::int + 1)
    on conflict (scope) do update set
        stage = excluded.stage,
        since = excluded.since,
        until = excluded.until,
        blocks = excluded.blocks,
        version = excluded.version,
        cleared_at = case when stages.stage = 3 or excluded.stage = 0 then now() else stages.cleared_at end
    where stages.version = :version::int
    returning stages.scope
),

published_event as (
    insert into outbox (id, exchange, routing_key, body)
    select :event_id::uuid, :exchange::text, :routing_key::text, :body::bytea
    from changed_stage
)

select count(*) from changed_stage
