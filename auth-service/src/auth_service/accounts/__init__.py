"""The account's record and how its parts are spelled. Knows no other folder."""
