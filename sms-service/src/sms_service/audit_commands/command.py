"""``python -m sms_service audit``: verify the audit trail of codes, or show what is in it."""

import argparse
from collections.abc import Sequence

from shared import postgres
from shared.audit import command
from shared.audit.chain import Chain
from shared.audit.verification import Verification, verify
from shared.keys import KeyRing
from shared.phone import PhoneKeys, mask, ref_hex
from sms_service.audit_commands.reader_store import ShownEvent, find
from sms_service.settings import AuditShowSettings, AuditVerifySettings
from sms_service.verification.audit_events import AUDIT_TABLE

SERVICE = "sms-service"
HEADINGS = ("TIME (UTC)", "KIND", "NUMBER", "PURPOSE", "FROM", "DIALECT", "DETAIL")


def verify_events(settings: AuditVerifySettings, options: argparse.Namespace) -> None:
    """Verify the audit trail of codes."""
    chain = Chain(AUDIT_TABLE, KeyRing.parse(settings.audit_keys.get_secret_value()))
    found = command.run(_verify(settings, chain, options), SERVICE)
    command.print_verification(chain, found, as_json=options.json)


def show_events(settings: AuditShowSettings, options: argparse.Namespace) -> None:
    """Print rows of the audit trail of codes."""
    events = command.run(_show(settings, options), SERVICE)
    masked = mask(options.number) if options.number else None
    cells = [_cells(event, masked) for event in events]
    command.print_rows(HEADINGS, cells, [_fields(event, masked) for event in events], as_json=options.json)


async def _verify(settings: AuditVerifySettings, chain: Chain, options: argparse.Namespace) -> Verification:
    async with postgres.pool(settings.postgres_url, settings.sms_database, size=1) as pool:
        return await verify(pool, chain, options.anchor)


async def _show(settings: AuditShowSettings, options: argparse.Namespace) -> Sequence[ShownEvent]:
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    ref = phones.ref(options.number) if options.number else None
    async with postgres.pool(settings.postgres_url, settings.sms_database, size=1) as pool:
        return await find(pool, ref, command.since_of(options, ref))


def _cells(event: ShownEvent, masked: str | None) -> tuple[str, ...]:
    number = masked or ("-" if event.phone_ref is None else f"ref {ref_hex(event.phone_ref)}")
    left = "" if event.tries_left is None else f"{event.tries_left} tries left"
    wait = "" if event.retry_after is None else f"retry after {event.retry_after} s"
    code = f"verification {event.verification_id}" if event.verification_id else ""
    detail = ", ".join(filter(None, (event.detail, left, wait, code)))
    who = "erased" if event.erased_by else number
    return (
        command.time_text(event.at),
        event.kind,
        who,
        event.purpose or "-",
        event.network or "-",
        event.dialect or "-",
        detail,
    )


def _fields(event: ShownEvent, masked: str | None) -> dict[str, object]:
    return {
        "id": str(event.id),
        "at": event.at.isoformat(),
        "kind": event.kind,
        "number": masked,
        "phone_ref": None if event.phone_ref is None else ref_hex(event.phone_ref),
        "verification_id": str(event.verification_id) if event.verification_id else None,
        "purpose": event.purpose,
        "network": event.network,
        "dialect": event.dialect,
        "detail": event.detail,
        "retry_after": event.retry_after,
        "tries_left": event.tries_left,
        "erased": event.erased_by is not None,
    }
