"""What the commands of several services show to the person who runs them."""
