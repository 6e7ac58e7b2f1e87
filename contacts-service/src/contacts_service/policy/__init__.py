"""What the settings of contacts-service promise about look-ups."""
