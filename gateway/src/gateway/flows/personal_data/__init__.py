"""A copy of all that the services store about one user."""
