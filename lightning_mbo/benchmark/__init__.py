"""Many runs, compared: methods, arms and trials on the same data."""
