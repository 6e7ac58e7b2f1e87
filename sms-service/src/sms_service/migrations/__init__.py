"""The history of the schema: alembic revisions in plain SQL."""
