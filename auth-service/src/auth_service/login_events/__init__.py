"""Events about log-ins for those who look for fraud: failures counted by the minute, and unfamiliar log-ins."""
