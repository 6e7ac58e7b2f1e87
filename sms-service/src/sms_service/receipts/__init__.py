"""Delivery receipts: the reports of providers on messages that they accepted."""
