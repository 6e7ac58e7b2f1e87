"""After a restored backup: what ended since then must not live again."""
