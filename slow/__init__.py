"""Proofs that take long, as commands: `uv run -m slow.speed`, `slow.fairness`, `slow.million`, `slow.kills`."""
