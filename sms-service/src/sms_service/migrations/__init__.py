"""The schema's history: alembic revisions in plain SQL."""
