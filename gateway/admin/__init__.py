"""What `fleetlake device` does to the registry: devices, tokens, fleet CAs. Each act is in registry.access_audit."""
