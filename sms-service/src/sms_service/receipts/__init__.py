"""Delivery receipts of providers."""
