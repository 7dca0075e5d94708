"""Pure functions over arrays, one idea a file. Nothing here knows an architecture."""
