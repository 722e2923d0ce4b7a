"""The registry: versions of models, their artifacts and their aliases."""
