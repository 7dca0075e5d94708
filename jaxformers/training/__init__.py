"""Training: what is read, the step that learns from it, and the loops over both."""
