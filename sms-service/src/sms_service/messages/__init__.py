"""The text of a message, and how many SMS segments carry it."""
