"""Asks PyPI's py3-validate-email about the addresses on standard input; run by the Python that it is installed for.

Only its public options are used. Its list of disposable domains, which it would download, is left out.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from validate_email import validate_email  # type: ignore[import-not-found]  # lives with the peer


def main(threads: int, helo: str, mail_from: str) -> None:
    addresses = sys.stdin.read().split()

    def check(address: str) -> bool | None:
        try:
            answer: bool | None = validate_email(
                address, check_blacklist=False, smtp_helo_host=helo, smtp_from_address=mail_from
            )
        except Exception:  # noqa: BLE001 - broken TLS and strange replies come out of it as they are: no verdict
            return None
        return answer

    started_at = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(check, addresses))
    seconds = time.monotonic() - started_at
    says = {True: "exists", False: "not_exists", None: "unknown"}
    verdicts = {address: says[answer] for address, answer in zip(addresses, answers, strict=True)}
    json.dump({"seconds": seconds, "verdicts": verdicts}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
