"""Dated lists with source, licence and SHA-256."""
