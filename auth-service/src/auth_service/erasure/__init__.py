"""The erasure of an account by its user: a fresh proof, and everything that goes with the account."""
