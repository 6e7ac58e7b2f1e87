"""Where a page of rows ends and the next one begins."""

from datetime import datetime
from uuid import UUID

from shared.internal_api.endpoint import WireModel

PAGE_ROWS = 1_000
"""Rows of one page: a list may be long, and crosses in pages."""


class Cursor(WireModel):
    """The last row of a page. The next page begins behind it, in the order of times and ids."""

    at: datetime
    id: UUID
