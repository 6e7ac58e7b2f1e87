-- A page of the audit log about a user, in the order of times and ids: rows that name the user, and rows that name the
-- number and no user, from when the number was the user's. Each part reads its index from the cursor on.
with of_user as (
    select id, at, action, detail, session_id, network, dialect, client, actor
    from audit_log
    where user_id = :user_id and at <= :until
        and (:after_at::timestamptz is null or (at, id) > (:after_at, :after_id::uuid))
    order by at, id limit :page_rows
), of_number as (
    select id, at, action, detail, session_id, network, dialect, client, actor
    from audit_log
    where phone_ref = :phone_ref and user_id is null and at between :number_since and :until
        and (:after_at::timestamptz is null or (at, id) > (:after_at, :after_id::uuid))
    order by at, id limit :page_rows
), page as (
    select * from of_user
    union all
    select * from of_number
    order by at, id limit :page_rows
)
select id, at, action, detail, session_id, network, dialect, client, actor <> '' as by_operator from page
order by at, id
