"""Vectors and who is near whom."""
