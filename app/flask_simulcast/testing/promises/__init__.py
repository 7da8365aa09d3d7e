"""The promises of a broker, one file per noun."""
