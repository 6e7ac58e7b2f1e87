"""The audit chain: seals over the rows of an audit table, by which a row that was changed or deleted is found."""
