"""The models that come with the platform, on the default allow-list."""
