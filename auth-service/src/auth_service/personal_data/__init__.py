"""What is stored about one user, for this user and for the operators who act for them."""
