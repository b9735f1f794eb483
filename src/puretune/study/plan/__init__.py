"""What must be computed for a study: every name looked up, every step under its key."""
