"""The schema of the ``contacts`` database, as alembic revisions in plain SQL."""
