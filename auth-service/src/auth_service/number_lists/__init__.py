"""What gateways need to know which numbers may have an account without asking for each."""
