-- Claims a batch of queued messages that the budgets can pay, begins the first attempt of each, and charges for it.
--
-- Lock order, the same in every statement, so that two statements never wait for each other: messages, then budgets,
-- then prefix_traffic, each in the order of its keys.
--
-- A budget row from an earlier window counts as nothing spent. One from a later window (another session with a later
-- clock was first) is used as it is.
--
-- A message is affordable if each of its budgets has room for it and for the messages before it in the batch. Messages
-- that do not even fit alone use up no room. A message of strangers has less room: a part of each budget is kept for
-- those that known callers ask for, which come first in a batch.
with requested_claims as (
    select * from unnest(
        :message_ids::uuid[], :versions::int[], :senders::text[], :segments::int[], :costs::bigint[],
        :ranges::text[], :networks::text[], :countries::text[]
    ) as requested_claims (message_id, version, sender, segments, cost, range, network, country)
), locked_messages as (
    select m.message_id, m.for_known, r.sender, r.segments, r.cost, r.range, r.network, r.country
    from messages m join requested_claims r using (message_id)
    where m.version = r.version and m.state = 'queued' and now() < m.expires_at
    order by m.message_id for update of m
), message_budgets as (
    select l.message_id, l.for_known, l.cost, w.prefix, w.span,
        case when l.for_known then w.max_spent else w.max_spent_by_strangers end as max_spent
    from locked_messages l
    join unnest(:charged_message_ids::uuid[], :charged_prefixes::text[]) as c (message_id, prefix) using (message_id)
    join unnest(:prefixes::text[], :spans::text[], :max_spent::bigint[], :max_spent_by_strangers::bigint[])
        as w (prefix, span, max_spent, max_spent_by_strangers) using (prefix)
    where l.cost > 0
), budget_windows as (
    select distinct prefix, span from message_budgets
), locked_budgets as (
    select b.prefix, b.span,
        case when b.starts_at >= date_trunc(b.span, now(), 'UTC') then b.spent else 0 end as spent
    from budgets b join budget_windows w using (prefix, span)
    order by b.prefix, b.span for update of b
), message_room as (
    select m.message_id, m.for_known, m.prefix, m.span, m.cost, m.max_spent - l.spent as micros
    from message_budgets m left join locked_budgets l using (prefix, span)
), never_fitting_messages as (
    select distinct message_id from message_room where micros is null or cost > micros
), unaffordable_messages as (
    select message_id from never_fitting_messages
    union
    select message_id from (
        select m.message_id, m.micros,
            sum(m.cost) over (
                partition by m.prefix, m.span order by m.for_known desc, m.message_id asc
            ) as running_cost
        from message_room m left join never_fitting_messages n using (message_id) where n.message_id is null
    ) running_costs where running_cost > micros
), affordable_messages as (
    select l.* from locked_messages l left join unaffordable_messages u using (message_id) where u.message_id is null
), claimed_messages as (
    update messages m set state = 'sending', sender = a.sender, claimed_at = now(), version = m.version + 1
    from affordable_messages a where m.message_id = a.message_id
    returning m.message_id, m.verification_id, m.phone_ref, m.created_at,
        a.sender, a.segments, a.cost, a.range, a.network, a.country
), new_attempts as (
    insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, price, started_at)
    select message_id, 1, verification_id, phone_ref, sender, segments, cost, now() from claimed_messages
), budget_costs as (
    select m.prefix, m.span, sum(m.cost) as micros
    from message_budgets m join affordable_messages a using (message_id)
    group by m.prefix, m.span
), charged_budgets as (
    update budgets b set
        starts_at = greatest(b.starts_at, date_trunc(b.span, now(), 'UTC')),
        spent = case when b.starts_at >= date_trunc(b.span, now(), 'UTC') then b.spent else 0 end + c.micros
    from budget_costs c where b.prefix = c.prefix and b.span = c.span
), counted_traffic as (
    insert into prefix_traffic as t (starts_at, range, network, country, sent, spent)
    select
        to_timestamp(floor(extract(epoch from created_at) / :bucket_seconds::int) * :bucket_seconds::int) as bucket,
        range, network, country, count(*), sum(cost)
    from claimed_messages group by bucket, range, network, country order by bucket, claimed_messages.range
    on conflict (starts_at, range) do update set sent = t.sent + excluded.sent, spent = t.spent + excluded.spent
    returning t.sent - t.verified as unverified
)
select l.message_id, (select max(unverified) from counted_traffic) as max_unverified,
    case
        when c.message_id is not null then 'claimed'
        when n.message_id is not null then 'never_fits'
        else 'crowded_out'
    end as result
from locked_messages l
left join claimed_messages c using (message_id)
left join never_fitting_messages n using (message_id)
