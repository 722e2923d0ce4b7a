"""The models: the names under which versions are registered and served."""
