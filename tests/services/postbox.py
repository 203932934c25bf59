"""A mail server whose letters a test opens."""

import asyncio

from services.mail import Letter


class Postbox:
    """A mail server that keeps what it is given."""

    is_real = True

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    async def send(self, letter: Letter) -> None:
        """Keep it."""
        self.letters.append(letter)

    async def received(self, count: int) -> list[Letter]:
        """The letters, once so many have come."""
        async with asyncio.timeout(5):
            while len(self.letters) < count:
                await asyncio.sleep(0.01)
        return self.letters

    async def emptied(self, count: int) -> dict[str, Letter]:
        """The letters by receiver, once so many have come; the box is empty then."""
        found, self.letters = await self.received(count), []
        return {letter.to: letter for letter in found}

    async def token(self) -> str:
        """The token of the newest link, once it has come."""
        return token_of((await self.received(1)).pop())


def token_of(letter: Letter) -> str:
    """The token of a letter's link."""
    assert letter.link is not None
    return letter.link.partition("token=")[2]
