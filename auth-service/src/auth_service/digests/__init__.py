"""Digests of passwords that other systems made: how they are spelled, and how one is computed again from a password."""
