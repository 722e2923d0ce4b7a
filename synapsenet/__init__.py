"""SynapseNet's domain: what the platform does, free of gRPC, SQL and every other outside thing."""
