"""The type of what comes from others and is not looked at yet."""

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""What JSON decodes to."""
