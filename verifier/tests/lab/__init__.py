"""Tests of the lab, and of the engine against everything the lab can do."""
