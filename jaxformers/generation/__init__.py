"""Generation: loops over a model's `decode`, from prompts to new tokens."""
