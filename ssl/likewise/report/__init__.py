"""The report: one HTML file that says what was learnt, how sure that is, and what to do next."""
