"""Both sides of the wire to the verifier."""
