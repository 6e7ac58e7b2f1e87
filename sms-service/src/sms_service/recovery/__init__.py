"""After a restored backup: codes that were used since then must not work again, nor messages be sent twice."""
