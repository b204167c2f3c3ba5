"""`make bench-payments`: how fast money becomes credits, and how fast the books are compared."""
