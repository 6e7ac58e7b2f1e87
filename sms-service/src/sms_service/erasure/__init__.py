"""What sms-service forgets of a number when its account is erased."""
