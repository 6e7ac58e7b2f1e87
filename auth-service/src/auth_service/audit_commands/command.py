"""``python -m auth_service audit``: verify the audit log, or show what is in it."""

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from auth_service.audit import AUDIT_LOG
from auth_service.audit_commands.reader import AuditFilter, AuditReader, ShownEntry
from auth_service.settings import AuditSettings
from shared import postgres
from shared.audit import command
from shared.audit.chain import Chain
from shared.audit.verification import Verification, verify
from shared.errors import ServiceError
from shared.keys import KeyRing
from shared.phone import PhoneKeys, ref_hex
from shared.process.startup import UnreachableError

HEADINGS = ("TIME (UTC)", "ACTION", "USER", "NUMBER", "FROM", "CLIENT", "DETAIL")
ResultT = TypeVar("ResultT")


def add_commands(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command ``audit`` with its two actions."""
    about = "The audit log: every decision about who someone is. verify finds rows that were changed; show prints them."
    actions = parsers.add_parser("audit", help=about, description=about).add_subparsers(metavar="ACTION", required=True)
    verifying = actions.add_parser("verify", help=verify_log.__doc__, description=verify_log.__doc__)
    command.add_verify(verifying)
    verifying.set_defaults(run=verify_log)
    showing = actions.add_parser("show", help=show_log.__doc__, description=show_log.__doc__)
    command.add_filters(showing)
    showing.add_argument("--user", type=int, metavar="USER_ID", help="rows about this user id, as in events")
    showing.set_defaults(run=show_log)


def verify_log(settings: AuditSettings, options: argparse.Namespace) -> None:
    """Verify that no sealed row was changed, deleted, inserted or moved. Exits with 1 at the first that was."""
    found = _run(_verify(settings, options))
    sys.stdout.write(command.report("audit_log", found, datetime.now(UTC), as_json=options.json))
    if found.broken:
        raise SystemExit(command.BROKEN)


def show_log(settings: AuditSettings, options: argparse.Namespace) -> None:
    """Print rows of the audit log, oldest first. Filters combine: a row has to pass all of them."""
    entries = _run(_show(settings, options))
    if options.json:
        sys.stdout.writelines(f"{json.dumps(_fields(entry))}\n" for entry in entries)
    else:
        sys.stdout.write(command.table(HEADINGS, [_cells(entry) for entry in entries]))


async def _verify(settings: AuditSettings, options: argparse.Namespace) -> Verification:
    chain = Chain(AUDIT_LOG, KeyRing.parse(settings.audit_keys.get_secret_value()))
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=1) as pool:
        return await verify(pool, chain, options.anchor)


async def _show(settings: AuditSettings, options: argparse.Namespace) -> Sequence[ShownEntry]:
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=1) as pool:
        return await AuditReader(pool, phones).find(AuditFilter(options.number, options.user, options.since))


def _run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    try:
        return asyncio.run(work)
    except UnreachableError as error:
        reason = str(error)
    except ServiceError:
        reason = "PostgreSQL does not respond; try again"
    sys.stderr.write(f"auth-service: {reason}\n")
    raise SystemExit(command.NOT_READ)


def _cells(entry: ShownEntry) -> tuple[str, ...]:
    number = entry.masked or (f"ref {ref_hex(entry.phone_ref)}" if entry.phone_ref is not None else "-")
    user = "erased" if entry.erased_by else str(entry.user_id or "-")
    client = "/".join(filter(None, (entry.dialect, entry.client)))
    session = f"session {entry.session_id}" if entry.session_id else ""
    operator = f"by {entry.actor}: {entry.reason}" if entry.actor else ""
    detail = ", ".join(filter(None, (entry.detail, session, operator)))
    return (command.time_text(entry.at), entry.action, user, number, entry.network or "-", client or "-", detail)


def _fields(entry: ShownEntry) -> dict[str, object]:
    return {
        "id": str(entry.id),
        "at": entry.at.isoformat(),
        "action": entry.action,
        "user_id": str(entry.user_id) if entry.user_id else None,
        "number": entry.masked,
        "phone_ref": None if entry.phone_ref is None else ref_hex(entry.phone_ref),
        "session_id": str(entry.session_id) if entry.session_id else None,
        "network": entry.network,
        "dialect": entry.dialect,
        "client": entry.client,
        "detail": entry.detail,
        "by": entry.actor,
        "reason": entry.reason,
        "erased": entry.erased_by is not None,
    }
