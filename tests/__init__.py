"""Tests of the service; the verifier's are beside it."""
