"""The user source: the back end that an app had before, asked for users who are not here yet (decision 81)."""
