"""Tables as files: reading them, what their columns are, and what candidates may be."""
