"""What contacts-service stores about a user: their place in the directory, and how much they looked up."""

from datetime import datetime

from pydantic import Field

from shared.internal_api.endpoint import Endpoint, Number, WireModel


class ExportContacts(WireModel):
    """Get the entry and the budget of a user."""

    user_id: int
    own_phone: Number = Field(repr=False)


class DirectoryCopy(WireModel):
    """What others find of a user, if ``visible``."""

    nickname: str
    avatar: str
    visible: bool
    updated_at: datetime


class LookUps(WireModel):
    """How many numbers count on the budget of the user's number, and since when none was added."""

    numbers: int
    last_at: datetime | None


class ExportedContacts(WireModel):
    """The entry, if there is one, and the look-ups. Which numbers they were is stored as keyed fingerprints."""

    entry: DirectoryCopy | None
    look_ups: LookUps


EXPORT_CONTACTS = Endpoint("/v1/personal-data/contacts", ExportContacts, ExportedContacts, repeatable=True)
