"""``python -m auth_service audit``: verify the audit log, or show what is in it."""

import argparse
from collections.abc import Sequence

from auth_service.audit import AUDIT_LOG
from auth_service.operators.audit_reader_store import AuditFilter, AuditReader, ShownEntry
from auth_service.settings import AuditSettings
from shared import postgres
from shared.audit import command
from shared.audit.chain import Chain
from shared.audit.verification import Verification, verify
from shared.keys import KeyRing
from shared.phone import PhoneKeys, ref_hex

HEADINGS = ("TIME (UTC)", "ACTION", "USER", "NUMBER", "FROM", "CLIENT", "DETAIL")
SERVICE = "auth-service"


def add_commands(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command ``audit``."""
    showing = command.add_commands(parsers, verify_log, show_log)
    showing.add_argument("--user", type=int, metavar="USER_ID", help="rows about this user id, as in events")


def verify_log(settings: AuditSettings, options: argparse.Namespace) -> None:
    """Verify the audit log."""
    chain = Chain(AUDIT_LOG, KeyRing.parse(settings.audit_keys.get_secret_value()))
    found = command.run(_verify(settings, chain, options), SERVICE)
    command.print_verification(chain, found, as_json=options.json)


def show_log(settings: AuditSettings, options: argparse.Namespace) -> None:
    """Print rows of the audit log."""
    entries = command.run(_show(settings, options), SERVICE)
    command.print_rows(HEADINGS, list(map(_cells, entries)), list(map(_fields, entries)), as_json=options.json)


async def _verify(settings: AuditSettings, chain: Chain, options: argparse.Namespace) -> Verification:
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=1) as pool:
        return await verify(pool, chain, options.anchor)


async def _show(settings: AuditSettings, options: argparse.Namespace) -> Sequence[ShownEntry]:
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=1) as pool:
        since = command.since_of(options, options.number, options.user)
        return await AuditReader(pool, phones).find(AuditFilter(options.number, options.user, since))


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
