"""The operator's commands over the audit trail of codes: verify it, and show what is in it."""
