"""The internal API of personal data: what each service stores about one user, for this user."""
