"""The gRPC services, one file each: they read requests, ask, and write answers. No rule is here."""
