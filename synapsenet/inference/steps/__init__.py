"""What inference does for sagas, step by step; each may be repeated, and taken up wherever a crash left it."""
