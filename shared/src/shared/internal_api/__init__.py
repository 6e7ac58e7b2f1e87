"""What one process may ask another: paths, questions and answers, each declared once."""
