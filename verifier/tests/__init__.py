"""Tests of the verifier: real sockets on loopback, real PostgreSQL where a store is meant."""
