"""The edge and the hops between services: Envoy's configuration and life."""
