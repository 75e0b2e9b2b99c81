"""Opens the doors: gRPC services, the office lane, the projector, the registry."""
