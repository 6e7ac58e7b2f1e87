-- Ends the first attempt of a message and begins the second, if the budgets can pay it. The statement that charges for
-- the second attempt also refunds the first. It locks messages, then budgets, then prefix_traffic, as every statement.
with locked_message as (
    select message_id, claimed_at, created_at from messages
    where message_id = :message_id and version = :version and state = 'sending' and now() < expires_at
    for update
), budget_room as (
    select b.prefix, b.span, w.max_spent,
        case when b.starts_at >= date_trunc(b.span, now(), 'UTC') then b.spent else 0 end
            - case
                when l.claimed_at >= b.starts_at and b.starts_at >= date_trunc(b.span, now(), 'UTC')
                    then :refund::bigint
                else 0
            end as spent
    from budgets b
    join unnest(:prefixes::text[], :spans::text[], :max_spent::bigint[]) as w (prefix, span, max_spent)
        using (prefix, span)
    cross join locked_message l
    order by b.prefix, b.span for update of b
), affordable_message as (
    select message_id, created_at from locked_message
    where :cost::bigint = 0 or (
        select count(*) from budget_room where spent + :cost::bigint <= max_spent
    ) = cardinality(:prefixes::text[])
), moved_message as (
    update messages m set sender = :sender, claimed_at = now(), version = m.version + 1
    from affordable_message a where m.message_id = a.message_id
    returning m.message_id, m.verification_id, m.phone_ref
), ended_attempt as (
    update attempts a set
        outcome = :outcome, detail = :detail, provider_id = :provider_id, finished_at = now(),
        price = a.price - :refund::bigint
    from moved_message m where a.message_id = m.message_id and a.number = 1
), new_attempt as (
    insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, price, started_at)
    select message_id, 2, verification_id, phone_ref, :sender, :segments, :cost, now() from moved_message
), charged_budgets as (
    update budgets b set
        starts_at = greatest(b.starts_at, date_trunc(b.span, now(), 'UTC')),
        spent = greatest(r.spent, 0) + :cost::bigint
    from budget_room r, affordable_message where b.prefix = r.prefix and b.span = r.span
), counted_traffic as (
    -- Joins the budgets, so that they are locked before this table even if nothing is paid.
    update prefix_traffic t set spent = t.spent + :cost::bigint - :refund::bigint
    from affordable_message a cross join (select count(*) from budget_room) as locked_budgets
    where t.range = :range
        and t.starts_at
            = to_timestamp(floor(extract(epoch from a.created_at) / :bucket_seconds::int) * :bucket_seconds::int)
)
select (select message_id from moved_message) as moved, exists (select from locked_message) as locked
