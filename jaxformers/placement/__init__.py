"""Which axes of a mesh divide an array, by the logical names of its axes."""
