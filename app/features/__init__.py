"""The features of the service: one folder each, all of the same shape. A feature imports no other feature."""
