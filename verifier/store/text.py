"""PostgreSQL text cannot hold U+0000, yet clients may send it: a reversible spelling, a lossy one for foreign text."""


def encode(text: str) -> str:
    r"""Spell U+0000 as ``\0`` and a backslash as two, so that any string of Unicode scalar values can be stored."""
    if "\\" in text or "\x00" in text:
        return text.replace("\\", "\\\\").replace("\x00", "\\0")
    return text


def decode(stored: str) -> str:
    """Give back what `encode` was given."""
    if "\\" not in stored:
        return stored
    return "\\".join(part.replace("\\0", "\x00") for part in stored.split("\\\\"))


def storable(text: str | None) -> str | None:
    """Replace what neither PostgreSQL nor JSON can hold: U+0000 and lone surrogates. For what servers said."""
    if text is None or (text.isascii() and "\x00" not in text):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
