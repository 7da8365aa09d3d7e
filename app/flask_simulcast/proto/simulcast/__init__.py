"""The folder of the package ``simulcast.v1``, as the compiler wants it."""
