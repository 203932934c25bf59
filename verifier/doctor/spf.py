"""Sender Policy Framework (RFC 7208): may an address send for a domain? What a mail host will conclude about us."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network

from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from verifier.engine.resolver import Answer, Outcome, Resolver

_LOOKUPS_MAX = 10  # section 4.6.4
_HOSTS_MAX = 10
_TERM = re.compile(r"(?P<sign>[+\-~?]?)(?P<name>[a-z0-9]+)(?::(?P<value>[^/]\S*?))?(?P<length>(?:/\d+)?(?://\d+)?)")
_MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9_.-]*)=(?P<value>\S*)")

Numeric = IPv4Address | IPv6Address


class Policy(StrEnum):
    """The result of check_host(), section 2.6; UNTOLD where a macro of the record was not worked out."""

    PASS = "pass"  # noqa: S105 - a result of RFC 7208, no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"
    UNTOLD = "untold"


_BY_SIGN = {"": Policy.PASS, "+": Policy.PASS, "-": Policy.FAIL, "~": Policy.SOFTFAIL, "?": Policy.NEUTRAL}


class _Ends(Exception):
    """The evaluation ends with a result, wherever it is."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        super().__init__(policy)


@dataclass(slots=True)
class Evaluation:
    """One check_host(): an address against the policy of a domain. `record` is what the domain publishes."""

    resolver: Resolver
    address: Numeric
    record: str = ""
    _lookups: int = field(default=0)

    async def of(self, domain: str) -> Policy:
        """Return the result for a domain."""
        try:
            return await self._of(domain, is_first=True)
        except _Ends as ended:
            return ended.policy

    async def _of(self, domain: str, *, is_first: bool = False) -> Policy:
        answer = await self.resolver.ask(domain, "TXT")
        if answer.outcome is Outcome.FAILED:
            raise _Ends(Policy.TEMPERROR)
        texts = [b"".join(record.strings).decode("latin-1") for record in answer.records if isinstance(record, TXT)]
        records = [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]
        if not records:
            return Policy.NONE
        if len(records) > 1:
            raise _Ends(Policy.PERMERROR)
        if is_first:
            self.record = records[0]
        return await self._read(records[0].lower().split()[1:], domain)

    async def _read(self, terms: list[str], domain: str) -> Policy:
        redirect = ""
        for term in terms:
            if modifier := _MODIFIER.fullmatch(term):
                redirect = modifier["value"] if modifier["name"] == "redirect" else redirect
                continue
            match = _TERM.fullmatch(term)
            if match is None:
                raise _Ends(Policy.PERMERROR)
            if await self._matches(match["name"], match["value"] or "", match["length"], domain):
                return _BY_SIGN[match["sign"]]
        if not redirect:
            return Policy.NEUTRAL
        self._count()
        _refuse_macro(redirect)
        found = await self._of(redirect)
        if found is Policy.NONE:
            raise _Ends(Policy.PERMERROR)
        return found

    async def _matches(self, name: str, value: str, length: str, domain: str) -> bool:
        if name == "all":
            return True
        if name in {"ip4", "ip6"}:
            return self._is_in(value + length)
        if name not in {"a", "mx", "include", "exists", "ptr"}:
            raise _Ends(Policy.PERMERROR)
        self._count()
        _refuse_macro(value)
        target = value or domain
        if name == "include":
            found = await self._of(target)
            if found is Policy.NONE:
                raise _Ends(Policy.PERMERROR)
            return found is Policy.PASS
        if name == "exists":
            return bool(await self._addresses(target, "A"))
        if name == "ptr":
            raise _Ends(Policy.UNTOLD)  # section 5.5: do not use
        hosts = [target] if name == "a" else await self._mail_hosts(target)
        kind = "A" if self.address.version == 4 else "AAAA"
        found_addresses = [each for host in hosts for each in await self._addresses(host, kind)]
        size = _size(length, self.address.version)
        return any(self._is_in(f"{each}/{size}" if size is not None else each) for each in found_addresses)

    async def _mail_hosts(self, domain: str) -> list[str]:
        answer = await self._ask(domain, "MX")
        names = [record.exchange.to_text(omit_final_dot=True) for record in answer.records if isinstance(record, MX)]
        if len(names) > _HOSTS_MAX:
            raise _Ends(Policy.PERMERROR)
        return [name for name in names if name not in {"", "@", "."}]

    async def _addresses(self, name: str, kind: str) -> list[str]:
        return [record.to_text() for record in (await self._ask(name, kind)).records]

    async def _ask(self, name: str, kind: str) -> Answer:
        answer = await self.resolver.ask(name, kind)
        if answer.outcome is Outcome.FAILED:
            raise _Ends(Policy.TEMPERROR)
        return answer

    def _is_in(self, network: str) -> bool:
        try:
            parsed = ip_network(network, strict=False)
        except ValueError:
            raise _Ends(Policy.PERMERROR) from None
        return parsed.version == self.address.version and self.address in parsed

    def _count(self) -> None:
        self._lookups += 1
        if self._lookups > _LOOKUPS_MAX:
            raise _Ends(Policy.PERMERROR)


def _refuse_macro(text: str) -> None:
    if "%" in text:
        raise _Ends(Policy.UNTOLD)


def _size(length: str, version: int) -> int | None:
    """Return the prefix length of `a/24//64` for a version."""
    four, _, six = length.partition("//")
    text = four.removeprefix("/") if version == 4 else six
    return int(text) if text else None
