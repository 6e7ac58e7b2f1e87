"""What the settings of sms-service promise about codes, look-ups and the bill."""
