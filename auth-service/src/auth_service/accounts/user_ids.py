"""User ids: random, so that they do not tell how many users there are."""

import secrets

USER_IDS = range(2**47, 2**53)
"""Every user id is in this range, whose numbers JavaScript represents exactly."""


def new_user_id() -> int:
    """A random user id. The primary key of the table decides whether it is free."""
    return USER_IDS.start + secrets.randbelow(len(USER_IDS))
