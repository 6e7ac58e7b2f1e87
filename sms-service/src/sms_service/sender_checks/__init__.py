"""What operators check of senders: test messages through one of them, and the balances of prepaid accounts."""
