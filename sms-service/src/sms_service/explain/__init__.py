"""Explains why a number received no code, from the rows that requests, workers, receipts and checks have left."""
