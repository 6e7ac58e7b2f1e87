"""User ids. New ones are random, so that they do not tell how many users there are; imported ones stay as they were."""

import secrets

USER_IDS = range(1, 2**53)
"""Every user id is in this range, whose numbers JavaScript represents exactly."""
NEW_USER_IDS = range(2**47, 2**53)
"""Those of users who register: imported ones are smaller, as other systems count."""


def new_user_id() -> int:
    """A random user id. The primary key of the table decides whether it is free."""
    return NEW_USER_IDS.start + secrets.randbelow(len(NEW_USER_IDS))
