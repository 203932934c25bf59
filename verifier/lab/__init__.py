"""A small Internet on loopback, with known behaviours: serves the sandbox, the tests and the benchmarks."""

from verifier.lab.internet import Lab

__all__ = ["Lab"]
