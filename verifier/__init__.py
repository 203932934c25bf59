"""The verifier: takes lists of addresses over REST, asks DNS and SMTP, answers verdicts."""
