"""The verifier's tables: the truth about tasks, addresses, chunks and verdicts. Knows SQL, no HTTP and no SMTP."""
