"""Tests of the engine: pure tables, and real DNS and SMTP servers on loopback."""
