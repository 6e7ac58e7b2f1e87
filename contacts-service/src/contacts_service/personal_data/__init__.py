"""What is stored about one user, for this user."""
