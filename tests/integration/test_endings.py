"""However a run is ended from outside: the right status, one line, and the same bytes in the end."""
