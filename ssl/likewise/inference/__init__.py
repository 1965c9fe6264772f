"""Using an embedding: search, verification, recognition, duplicates, groups, export."""
