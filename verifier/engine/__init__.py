"""The engine: syntax, DNS and SMTP findings, and the pure function that judges them. No database, no environment."""
