"""The laws of the house as tests, what they share, and the command that proves each law by breaking it."""
