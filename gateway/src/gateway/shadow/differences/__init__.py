"""How the answers of two back ends differ: the comparison, what explains a difference, and the report."""
