"""The internal API of operators: who asks and why, accounts, codes, and what is parked."""
