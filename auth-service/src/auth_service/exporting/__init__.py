"""The export of all users, in the format that the import reads: the way out, and the way into another Haoma."""
