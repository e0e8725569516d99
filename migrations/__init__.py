"""Alembic's changes of the database, one file each, in order."""
