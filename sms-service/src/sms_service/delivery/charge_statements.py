"""What charges money and gives it back: the SQL of the ledger that minds it."""

from sms_service.spending.policy import BUCKET_SECONDS

# Money is locked after messages, in the order of its keys, and traffic after money: everywhere, so that two
# statements never wait for each other. A row of a budget that is behind its window counts as nothing spent; one
# that is ahead (turned over by somebody who came later and was quicker) is taken as it is.
_WINDOW = "date_trunc(b.span, now(), 'UTC')"
_SO_FAR = f"case when b.starts_at >= {_WINDOW} then b.spent else 0 end"
_BUCKET = f"to_timestamp(floor(extract(epoch from {{}}) / {BUCKET_SECONDS}) * {BUCKET_SECONDS})"

# A message fits when it does so together with those before it in the batch, on each of its budgets. What could not be
# paid even alone is hopeless, and takes no room from anybody.
CLAIM = f"""
    with wanted as (
        select * from unnest(
            $1::uuid[], $2::int[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::text[], $8::text[]
        ) as wanted (message_id, version, sender, segments, price, range, network, country)
    ), locked as (
        select s.message_id, w.sender, w.segments, w.price, w.range, w.network, w.country
        from messages s join wanted w using (message_id)
        where s.version = w.version and s.state = 'queued' and now() < s.expires_at
        order by s.message_id for update of s
    ), lines as (
        select l.message_id, l.price, m.prefix, m.span, m.most
        from locked l
        join unnest($9::uuid[], $10::text[]) as c (message_id, prefix) using (message_id)
        join unnest($11::text[], $12::text[], $13::bigint[]) as m (prefix, span, most) using (prefix)
        where l.price > 0
    ), asked as (
        select distinct prefix, span, most from lines
    ), room as (
        select b.prefix, b.span, a.most - {_SO_FAR} as micros
        from budgets b join asked a using (prefix, span)
        order by b.prefix, b.span for update of b
    ), priced as (
        select l.message_id, l.prefix, l.span, l.price, r.micros from lines l left join room r using (prefix, span)
    ), hopeless as (
        select distinct message_id from priced where micros is null or price > micros
    ), dear as (
        select message_id from hopeless
        union
        select message_id from (
            select p.message_id, p.micros,
                sum(p.price) over (partition by p.prefix, p.span order by p.message_id) as upto
            from priced p left join hopeless h using (message_id) where h.message_id is null
        ) sums where upto > micros
    ), paid as (
        select l.* from locked l left join dear d using (message_id) where d.message_id is null
    ), claimed as (
        update messages s set state = 'sending', sender = p.sender, claimed_at = now(), version = s.version + 1
        from paid p where s.message_id = p.message_id
        returning s.message_id, s.verification_id, s.phone_ref, s.created_at,
            p.sender, p.segments, p.price, p.range, p.network, p.country
    ), begun as (
        insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, price, started_at)
        select message_id, 1, verification_id, phone_ref, sender, segments, price, now() from claimed
    ), totals as (
        select l.prefix, l.span, sum(l.price) as price from lines l join paid p using (message_id)
        group by l.prefix, l.span
    ), charged as (
        update budgets b set starts_at = greatest(b.starts_at, {_WINDOW}), spent = {_SO_FAR} + t.price
        from totals t where b.prefix = t.prefix and b.span = t.span
    ), counted as (
        insert into prefix_traffic as t (starts_at, range, network, country, sent, spent)
        select {_BUCKET.format("created_at")} as bucket, range, network, country, count(*), sum(price)
        from claimed group by bucket, range, network, country order by bucket, range
        on conflict (starts_at, range) do update set sent = t.sent + excluded.sent, spent = t.spent + excluded.spent
        returning t.sent - t.verified as waiting
    )
    select l.message_id, (select max(waiting) from counted) as busiest, case
        when c.message_id is not null then 'paid' when h.message_id is not null then 'over budget' else 'crowded out'
    end as answer
    from locked l left join claimed c using (message_id) left join hopeless h using (message_id)
"""  # noqa: S608  put together from constants

# As without money, and the first attempt's price is given back in the statement that charges the second's. What is
# counted asks for the money, so that it is locked after that even where nothing has to be paid.
FAIL_OVER = f"""
    with held as (
        select message_id, claimed_at, created_at from messages
        where message_id = $1 and version = $2 and state = 'sending' and now() < expires_at
        for update
    ), room as (
        select b.prefix, b.span, m.most,
            {_SO_FAR} - case when h.claimed_at >= b.starts_at and b.starts_at >= {_WINDOW} then $9::bigint else 0 end
                as so_far
        from budgets b
        join unnest($10::text[], $11::text[], $12::bigint[]) as m (prefix, span, most) using (prefix, span)
        cross join held h
        order by b.prefix, b.span for update of b
    ), paid as (
        select message_id, created_at from held
        where $8::bigint = 0 or (
            select count(*) from room where so_far + $8::bigint <= most
        ) = cardinality($10::text[])
    ), moved as (
        update messages s set sender = $3, claimed_at = now(), version = s.version + 1
        from paid p where s.message_id = p.message_id
        returning s.message_id, s.verification_id, s.phone_ref
    ), ended as (
        update attempts a set
            outcome = $4, detail = $5, provider_id = $6, finished_at = now(), price = a.price - $9::bigint
        from moved where a.message_id = moved.message_id and a.number = 1
    ), begun as (
        insert into attempts (message_id, number, verification_id, phone_ref, sender, segments, price, started_at)
        select message_id, 2, verification_id, phone_ref, $3, $7, $8, now() from moved
    ), charged as (
        update budgets b set
            starts_at = greatest(b.starts_at, {_WINDOW}), spent = greatest(r.so_far, 0) + $8::bigint
        from room r, paid where b.prefix = r.prefix and b.span = r.span
    ), counted as (
        update prefix_traffic t set spent = t.spent + $8::bigint - $9::bigint
        from paid p cross join (select count(*) from room) as money
        where t.starts_at = {_BUCKET.format("p.created_at")} and t.range = $13
    )
    select (select message_id from moved) as moved, exists (select from held) as held
"""  # noqa: S608

# One that never left says nothing of the number's prefix: with a provider down, nobody is verified.
TAKE_BACK = f"""
    with failed as (
        select a.message_id, a.sender, a.started_at, {_BUCKET.format("s.created_at")} as bucket, w.range, w.price
        from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) as w (message_id, sender, price, range)
        join attempts a using (message_id, sender) join messages s using (message_id)
        order by a.message_id for update of a
    ), freed as (
        update attempts a set price = a.price - f.price
        from failed f where a.message_id = f.message_id and a.sender = f.sender
    ), lines as (
        select f.started_at, f.price, m.prefix, m.span
        from failed f
        join unnest($5::uuid[], $6::text[]) as c (message_id, prefix) using (message_id)
        join unnest($7::text[], $8::text[], $9::bigint[]) as m (prefix, span, most) using (prefix)
        where f.price > 0
    ), asked as (
        select distinct prefix, span from lines
    ), held as (
        select b.prefix, b.span, b.starts_at from budgets b join asked a using (prefix, span)
        order by b.prefix, b.span for update of b
    ), totals as (
        select h.prefix, h.span, sum(l.price) as price
        from held h join lines l using (prefix, span) where l.started_at >= h.starts_at
        group by h.prefix, h.span
    ), given_back as (
        update budgets b set spent = greatest(b.spent - t.price, 0)
        from totals t where b.prefix = t.prefix and b.span = t.span
    ), counts as (
        select t.starts_at, t.range, f.failures, f.price
        from prefix_traffic t
        join (
            select bucket, range, count(*) as failures, sum(price) as price from failed group by bucket, range
        ) f on t.starts_at = f.bucket and t.range = f.range
        cross join (select count(*) from held) as money
        order by t.starts_at, t.range for update of t
    )
    update prefix_traffic t set sent = greatest(t.sent - c.failures, 0), spent = greatest(t.spent - c.price, 0)
    from counts c where t.starts_at = c.starts_at and t.range = c.range
"""  # noqa: S608
