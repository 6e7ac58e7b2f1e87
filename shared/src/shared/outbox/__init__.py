"""The transactional outbox: messages are committed with the rows they report, then published at least once."""

from shared.outbox.parcels import MAX_JOINED, Join, row_of
from shared.outbox.relay import BATCH, GATHER_SECONDS, Relay
from shared.outbox.row_store import INSERT, columns, put

__all__ = ["BATCH", "GATHER_SECONDS", "INSERT", "MAX_JOINED", "Join", "Relay", "columns", "put", "row_of"]
