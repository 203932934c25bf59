"""The verifier's tables: the truth about tasks, addresses, chunks and verdicts. Knows SQL, knows no HTTP and no SMTP."""
