"""What the settings of auth-service promise about log-ins."""
