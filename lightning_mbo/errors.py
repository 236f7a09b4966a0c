"""The errors that a user can cause and mend; the command line prints them as one line."""

from __future__ import annotations


class MBOError(Exception):
    """Base of all errors whose message tells the user what is wrong and what to do."""


class DataError(MBOError):
    """A table of designs cannot be used: the message names the file, column and row."""


class ConfigurationError(MBOError):
    """Options that do not go together, or a value outside its range."""


class CheckpointError(MBOError):
    """A checkpoint cannot be read, or belongs to another run, model or data set."""
