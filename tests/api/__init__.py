"""The API as its users meet it: over HTTP, on a real database, with a real verifier upstream."""
