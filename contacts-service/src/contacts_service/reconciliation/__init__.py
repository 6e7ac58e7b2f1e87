"""Reconciliation: finds the users of whom the directory is wrong, and corrects them."""
