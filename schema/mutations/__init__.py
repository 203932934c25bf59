"""Mutations by noun: one input, one payload, one line each."""
