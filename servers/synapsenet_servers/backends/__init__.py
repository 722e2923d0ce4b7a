"""Servers of others that a cluster stands on, started on this machine: for `synapsenet up` and for tests."""
