"""What builds and judges the project; nothing here is installed with it."""
