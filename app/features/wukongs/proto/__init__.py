"""Messages of the calls. `scripts/protos` makes the modules here from the .proto files beside them."""
