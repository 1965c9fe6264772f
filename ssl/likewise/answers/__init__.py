"""What people said, what follows from it, and what to ask next."""
