"""The import of the users of another system, with their ids, profiles and passwords."""
