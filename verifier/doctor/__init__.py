"""`verifier doctor`: tells whether this machine can ask mail hosts, and whether they will believe it."""
