"""A stream that one view writes itself."""
