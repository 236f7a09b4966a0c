"""Ended from outside: the right status, one line, and the same bytes when it has gone on."""
