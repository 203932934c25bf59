"""Writes contacts.csv: 1,000 people who never lived, at the domains of the sandbox; the same file every time."""

import csv
import io
import random
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

SEED = 2026
ZONE = "mailverdict.test"
HEADER = ("id", "full_name", "work_email", "company", "city")
PATH = Path(__file__).with_name("contacts.csv")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(text.split())


PEOPLE_AT = {
    "ok": 224,
    "postfix": 55,
    "exim": 40,
    "gmail": 60,
    "exchange": 55,
    "exchange5110": 20,
    "opensmtpd": 20,
    "sendmail": 20,
    "qmail": 15,
    "yahoo": 30,
    "policy": 15,
    "german": 25,
    "french": 20,
    "spanish": 20,
    "chinese": 15,
    "twin-a": 15,
    "twin-b": 15,
    "alias": 10,
    "implicit": 10,
    "bücher": 10,
    "bestdown": 8,
    "forwards": 8,
    "multiline": 8,
    "heloonly": 6,
    "tlsdemanded": 8,
    "fiveonly": 10,
    "catchall": 70,
    "full": 22,
    "full552": 10,
    "disabled": 18,
    "overrate": 6,
    "blocked": 25,
    "nullmx": 16,
    "nxdomain": 24,
    "nodata": 8,
    "servfail": 4,
    "greylisted": 7,
}
"""How many people work where: the domain's name in the sandbox, and a number. Nothing here is slow by design."""

ROLES_AT_OK = ("info", "sales", "support", "billing", "no-reply")
"""Addresses that belong to nobody in particular."""

COPIES_WITH_BLANKS = 14
COPIES_WITH_CAPITALS = 13
MALFORMED = (
    "maria.schmidt.ok.mailverdict.test",
    "peter.novak at gmail.mailverdict.test",
    "lena.fischer",
    "@ok.mailverdict.test",
    "oliver.brown@",
    "anna..keller@ok.mailverdict.test",
    "paul.@postfix.mailverdict.test",
    ".emma.jones@exim.mailverdict.test",
    "noah@ok..mailverdict.test",
    "sofia rossi@ok.mailverdict.test",
    "lucas moreau@french.mailverdict.test",
    "mia@ok mailverdict.test",
    "tom@@ok.mailverdict.test",
    "",
    "",
    "n/a",
)
"""What people type instead of an address."""

FIRST_NAMES = words("""
    Alice Anna Ben Carla Chloé Clara Daniel David Elena Emil Emma Erik Eva Felix Fiona Frida Georg Grace Hanna
    Hugo Ida Igor Iris Jakob Jan Jana José Julia Karl Kaya Lara Léa Lena Leo Liam Lina Luca Lucía Marco Maria
    Marta Max Mei Mia Mila Nadia Nils Nina Noah Nora Oliver Olga Omar Oscar Paul Petra Priya Rosa Ruth Samir
    Sara Sofia Sven Tara Theo Tom Vera Victor Wei Yuki Zoe
""")
LAST_NAMES = words("""
    Adler Andersen Bauer Becker Berg Bianchi Brown Costa Dubois Eriksson Evans Fischer Fontaine García Green
    Haas Hansen Hoffmann Hughes Ito Jansen Jensen Jones Keller Khan Klein König Kovač Kumar Lang Larsen Lehmann
    López Martin Meyer Moreau Müller Nakamura Novak Okafor Olsen Park Patel Peeters Petrov Ricci Rossi Roux Sato
    Schmidt Silva Singh Smith Souza Svensson Taylor Tran Vogel Walker Wang Weber Wilson Wolf Wright Yilmaz Young
    Zhang Ziegler
""")
COMPANIES = (
    "Adler & Söhne GmbH",
    "Baltic Freight, Ltd.",
    "Blue Harbour Consulting",
    "Café Central, S.L.",
    "Delta Precision, Inc.",
    'Emil "Speedy" Transport',
    "Fjord Analytics AS",
    "Grünwald Apotheke",
    "Hughes, Khan and Partners",
    "Imprimerie du Nord",
    "Juniper Gardens",
    "Kyoto Ceramics K.K.",
    "Lakeside Dental",
    "Moreau et Fils, SARL",
    "Northwind Paper, LLC",
    "Officina Ricci",
    "Polar Optics Oy",
    "Quarry Street Bakery",
    "Rosa's Flowers",
    "Sunrise Textiles, Pvt. Ltd.",
)
CITIES = words("""
    Aarhus Antwerpen Berlin Bilbao Bologna Boston Brno Dublin Freiburg Genève Gdańsk Göteborg Graz Kraków Kyoto
    Lagos Leeds Lille Lisboa Lyon Málaga Malmö Montréal München Oslo Porto Pune Salzburg Tampere Toronto Utrecht
    Zürich
""")


class Contact(NamedTuple):
    """One row without its number."""

    name: str
    email: str


class Dice:
    """Chance that falls the same way with every version of Python: only `random()` is promised to."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1."""
        return int(self._random.random() * limit)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffle(self, items: list[T]) -> None:
        """Put the items into another order, in place (Fisher and Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


def plain(name: str) -> str:
    """Return a name as it stands in an address: lower-case letters without their accents."""
    return unicodedata.normalize("NFD", name.lower().replace("ł", "l")).encode("ascii", "ignore").decode()


def people(dice: Dice) -> Iterator[Contact]:
    """Everybody once, domain by domain. No address comes twice."""
    taken = {f"{role}@ok.{ZONE}" for role in ROLES_AT_OK} | {f"alice@{domain}.{ZONE}" for domain in PEOPLE_AT}
    for role in ROLES_AT_OK:
        yield Contact(f"{role.title()} desk", f"{role}@ok.{ZONE}")
    for domain, count in PEOPLE_AT.items():
        # One who is always there, so that no domain is without a living mailbox.
        yield Contact(f"Alice {dice.pick(LAST_NAMES)}", f"alice@{domain}.{ZONE}")
        found = 1
        while found < count:
            first, last = dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES)
            locals_ = (f"{first}.{last}", f"{first}.{last}", f"{first[0]}.{last}", f"{first}_{last[0]}", f"{first}")
            email = f"{plain(dice.pick(locals_))}@{domain}.{ZONE}"
            if email not in taken:
                taken.add(email)
                found += 1
                yield Contact(f"{first} {last}", email)


def contacts() -> list[Contact]:
    """All rows in their order: people, their copies and the malformed ones, well mixed."""
    dice = Dice(SEED)
    originals = list(people(dice))
    copies = [originals[number * 31 % len(originals)] for number in range(COPIES_WITH_BLANKS + COPIES_WITH_CAPITALS)]
    blanks = ("  {}", "{} ", " {}\t")
    rows = [
        *originals,
        *[Contact(name, dice.pick(blanks).format(email)) for name, email in copies[:COPIES_WITH_BLANKS]],
        *[Contact(name, capitals(email)) for name, email in copies[COPIES_WITH_BLANKS:]],
        *[Contact(f"{dice.pick(FIRST_NAMES)} {dice.pick(LAST_NAMES)}", text) for text in MALFORMED],
    ]
    dice.shuffle(rows)
    return rows


def capitals(email: str) -> str:
    """Return the same address with its domain in capitals."""
    local, _, domain = email.rpartition("@")
    return f"{local}@{domain.upper()}"


def content() -> bytes:
    """Return the file: UTF-8 with a byte order mark, as spreadsheets write it."""
    dice = Dice(SEED + 1)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for number, (name, email) in enumerate(contacts(), 1):
        writer.writerow((f"C-{number:04}", name, email, dice.pick(COMPANIES), dice.pick(CITIES)))
    return text.getvalue().encode("utf-8-sig")


if __name__ == "__main__":
    PATH.write_bytes(content())
    sys.stdout.write(f"{PATH}: {len(contacts())} rows\n")
