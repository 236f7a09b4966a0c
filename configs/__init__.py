"""The shipped configs, found by name by the command line."""
