"""The folder of the package ``wukongs.v1``, as the compiler wants it."""
