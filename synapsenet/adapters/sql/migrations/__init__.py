"""Alembic migrations, one folder of revisions an area (`0001_initial.py`, …), each explicit and never edited once released."""
