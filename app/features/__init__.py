"""What the service offers: one folder a feature, all of the same shape. Features do not know each other."""
