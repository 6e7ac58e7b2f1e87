"""What is stored about the codes of one number, for the user who has it."""
