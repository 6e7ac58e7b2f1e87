"""Migrations of a service: its database is created, and its revisions are applied with alembic."""
