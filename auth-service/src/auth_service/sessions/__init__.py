"""Sessions: opened with a password or with a code, listed, and ended."""
