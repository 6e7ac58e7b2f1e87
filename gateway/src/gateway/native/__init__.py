"""The wire models of the dialect ``native``, and what its document says of their fields."""
