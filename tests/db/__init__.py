"""Queries and migrations on a real PostgreSQL."""
