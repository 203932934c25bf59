"""Which credential upstream is asked with. For now one for all; a hidden key per account takes its place here."""

from uuid import UUID


class UpstreamKeys:
    """The credentials upstream."""

    def __init__(self, service_key: str) -> None:
        """`service_key` is the service's own credential at the verifier."""
        self._service_key = service_key

    async def of(self, account_id: UUID) -> str:  # noqa: ARG002 - the seam for a key per account
        """The credential for an account's tasks."""
        return self._service_key

    def is_own(self, account_id: UUID) -> bool:  # noqa: ARG002 - the same seam
        """The account's credential is nobody else's, so that all that it sees upstream is the account's."""
        return False
