"""The operator's commands over the audit log: verify it, and show what is in it."""
