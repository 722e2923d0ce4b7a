"""Entry points of the platform's child processes; each imports only what its own task needs."""
