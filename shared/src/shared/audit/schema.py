"""The tables, triggers and functions of an audit chain, for the first revision of each service that has one.

Released revisions call this: what it returns never changes. A later revision has statements of its own.
"""

# digests has 32 bytes for each id.
SEALS = """
    create table audit_seals (
        number bigint primary key,
        sealed_at timestamptz not null,
        key_id int not null,
        first_at timestamptz not null,
        last_at timestamptz not null,
        ids uuid[] not null,
        digests bytea not null,
        hash bytea not null
    )
"""
SEALS_BY_TIME = "create index audit_seals_last_at on audit_seals (last_at)"

# Where the stored seals start: the last one that retention deleted, and the proof that it did.
CHAIN = """
    create table audit_chain (
        start_number bigint primary key,
        start_hash bytea not null,
        key_id int not null default 0,
        proof bytea not null default ''
    )
"""
START = "insert into audit_chain (start_number, start_hash) values (0, decode(repeat('00', 32), 'hex'))"

REFUSE_CHANGE = """
    create function refuse_audit_change() returns trigger language plpgsql as $$
    begin
        if current_setting('haoma.audit_change', true) = 'on'
            and current_user = (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid)
        then
            return null;
        end if;
        raise exception 'rows of % are only added', tg_table_name using errcode = 'insufficient_privilege';
    end
    $$
"""
TRIGGER = """
    create trigger {table}_is_append_only before update or delete or truncate on {table}
    for each statement execute function refuse_audit_change()
"""
# Default privileges give the role of the service all rights on rows; here it reads and adds.
REVOKE = """
    do $$
    declare service regrole;
    begin
        for service in
            select distinct acl.grantee::regrole
            from pg_class as c cross join aclexplode(c.relacl) as acl
            where c.oid = '{table}'::regclass and acl.grantee not in (0, c.relowner)
        loop
            execute format('revoke update, delete, truncate on {table}, audit_seals, audit_chain from %s', service);
        end loop;
    end
    $$
"""
DELETE_UNTIL = """
    create function delete_audit_until(until_number bigint, until_hash bytea, with_key int, with_proof bytea)
    returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
    declare deleted bigint;
    begin
        if exists (select from audit_seals where number <= until_number and last_at > now() - interval '30 days') then
            raise exception 'audit rows are kept for 30 days at least' using errcode = 'insufficient_privilege';
        end if;
        perform set_config('haoma.audit_change', 'on', true);
        delete from {table} where id in (select unnest(ids) from audit_seals where number <= until_number);
        get diagnostics deleted = row_count;
        delete from audit_seals where number <= until_number;
        update audit_chain
        set start_number = until_number, start_hash = until_hash, key_id = with_key, proof = with_proof
        where start_number < until_number;
        perform set_config('haoma.audit_change', '', true);
        return deleted;
    end
    $$
"""
ERASE_ROWS = """
    create function erase_audit_rows({parameters}, erasure uuid) returns bigint
    language plpgsql security definer set search_path = public, pg_temp as $$
    declare emptied bigint;
    begin
        perform set_config('haoma.audit_change', 'on', true);
        update {table} set {emptied}, erased_by = erasure where {condition};
        get diagnostics emptied = row_count;
        perform set_config('haoma.audit_change', '', true);
        return emptied;
    end
    $$
"""


def audit_chain(table: str, *, parameters: str, emptied: str, condition: str) -> tuple[str, ...]:
    """The statements that make ``table`` an audit trail. It has the columns ``id``, ``at``, ``salt`` and ``erased_by``.

    The three tables then refuse changes, of their owner too, and other roles lose the right to make them. Two functions
    make the only ones there are; they run as the owner. ``delete_audit_until`` deletes the oldest
    seals with their rows, and ``erase_audit_rows`` empties columns: ``emptied``, of the rows of ``condition``, which
    uses ``parameters``.
    """
    return (
        SEALS,
        SEALS_BY_TIME,
        CHAIN,
        START,
        REFUSE_CHANGE,
        *(TRIGGER.format(table=each) for each in (table, "audit_seals", "audit_chain")),
        REVOKE.format(table=table),
        DELETE_UNTIL.format(table=table),
        ERASE_ROWS.format(table=table, parameters=parameters, emptied=emptied, condition=condition),
    )
