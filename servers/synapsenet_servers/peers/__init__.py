"""The ports that an area has towards another area, over gRPC."""
