"""The page about a run, its figures, and the table of candidates."""
