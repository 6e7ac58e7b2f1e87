-- Takes a batch of failed attempts out of the counts of their prefixes, and refunds those that cost nothing.
-- A message that did not leave says nothing about its prefix: while a provider is down, no code is verified.
-- A refund only goes to the window that was charged. The statement locks attempts, then budgets, then prefix_traffic.
with failed_attempts as (
    select a.message_id, a.sender, a.started_at, r.range, r.micros,
        to_timestamp(floor(extract(epoch from m.created_at) / :bucket_seconds::int) * :bucket_seconds::int) as bucket
    from unnest(:message_ids::uuid[], :senders::text[], :refunds::bigint[], :ranges::text[])
        as r (message_id, sender, micros, range)
    join attempts a using (message_id, sender)
    join messages m using (message_id)
    order by a.message_id for update of a
), refunded_attempts as (
    update attempts a set price = a.price - f.micros
    from failed_attempts f where a.message_id = f.message_id and a.sender = f.sender
), attempt_refunds as (
    select f.started_at, f.micros, w.prefix, w.span
    from failed_attempts f
    join unnest(:charged_message_ids::uuid[], :charged_prefixes::text[]) as c (message_id, prefix) using (message_id)
    join unnest(:prefixes::text[], :spans::text[]) as w (prefix, span) using (prefix)
    where f.micros > 0
), budget_windows as (
    select distinct prefix, span from attempt_refunds
), locked_budgets as (
    select b.prefix, b.span, b.starts_at from budgets b join budget_windows using (prefix, span)
    order by b.prefix, b.span for update of b
), budget_refunds as (
    select l.prefix, l.span, sum(r.micros) as micros
    from locked_budgets l join attempt_refunds r using (prefix, span) where r.started_at >= l.starts_at
    group by l.prefix, l.span
), refunded_budgets as (
    update budgets b set spent = greatest(b.spent - r.micros, 0)
    from budget_refunds r where b.prefix = r.prefix and b.span = r.span
), locked_traffic as (
    -- Joins the budgets, so that they are locked before this table even if nothing is refunded.
    select t.starts_at, t.range, f.failures, f.micros
    from prefix_traffic t
    join (
        select bucket, range, count(*) as failures, sum(micros) as micros from failed_attempts group by bucket, range
    ) f on t.starts_at = f.bucket and t.range = f.range
    cross join (select count(*) from locked_budgets) as locked
    order by t.starts_at, t.range for update of t
)
update prefix_traffic t set sent = greatest(t.sent - l.failures, 0), spent = greatest(t.spent - l.micros, 0)
from locked_traffic l where t.starts_at = l.starts_at and t.range = l.range
