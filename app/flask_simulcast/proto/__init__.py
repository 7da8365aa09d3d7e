"""Messages of the RPC transport. `scripts/protos` makes the modules here from the .proto files beside them."""
