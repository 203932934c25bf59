"""Proofs that take long, as commands, each with --help where it has options.

Of the verifier `uv run -m slow.speed`, `slow.fairness`, `slow.kills`, `slow.mail_servers` and `slow.contract_fuzz`,
of the service `slow.charges`. `machine`, `internet` and `mail_server_setups` are what they run on.
"""
