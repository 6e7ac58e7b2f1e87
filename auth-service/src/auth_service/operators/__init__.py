"""What operators see and do with accounts, and the audit log as they read it."""
