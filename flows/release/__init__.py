"""Making a release: what it would reach, and making it once."""
