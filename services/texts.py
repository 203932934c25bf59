"""Short texts that people must give: names, notes, reasons."""

from services.errors import Invalid, Required, TooLarge


def checked(text: str, what: str, *, characters_max: int, field: tuple[str, ...]) -> str:
    """The text without blanks around it. `what` begins the sentence of an error.

    Raises:
        Required, TooLarge, Invalid: nothing is left, too much, or there is a NUL, which PostgreSQL takes in no text.

    """
    text = text.strip()
    if not text:
        raise Required(f"{what} is needed.", field=field)
    if len(text) > characters_max:
        raise TooLarge(f"{what} has at most {characters_max} characters; this one has {len(text)}.", field=field)
    if "\0" in text:
        raise Invalid(f"{what} cannot hold a NUL character.", field=field)
    return text
