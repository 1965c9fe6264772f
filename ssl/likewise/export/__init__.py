"""Models and vectors for other programs, and data sets and tables from them."""
