"""What was set aside for a person to look at: messages that a consumer gave up, and refused rows of the outbox."""
