"""Mail hosts in private space are refused, whatever a name server says; allowed networks are asked, and no others."""

import pytest

from verifier.lab.internet import Lab
from verifier.tests.rest import Rest, ok

ADDRESS = "alice@ok.mailverdict.test"


@pytest.fixture
def env(env: dict[str, str], lab: Lab) -> dict[str, str]:
    """The lab is the name server of everything, and no sandbox: its mail hosts are on loopback."""
    return {**env, "VERIFIER_NAMESERVERS": f"127.0.0.1:{lab.dns_port}", "VERIFIER_SMTP_PORT": str(lab.smtp_port)}


class TestRefused:
    async def test_a_mail_host_on_loopback_is_not_connected_to(self, rest: Rest, lab: Lab) -> None:
        result = ok(await rest.client.post("/verify", json={"email": ADDRESS}))
        assert (result["status"], result["reason"]) == ("unknown", "unroutable")
        assert sum(lab.log.questions.values()) > 0
        assert sum(lab.log.connections.values()) == 0


class TestAllowed:
    @pytest.fixture
    def env(self, env: dict[str, str]) -> dict[str, str]:
        return {**env, "VERIFIER_ALLOW_PRIVATE_NETWORKS": "127.77.0.0/16"}

    async def test_a_network_that_is_allowed_is_asked(self, rest: Rest, lab: Lab) -> None:
        result = ok(await rest.client.post("/verify", json={"email": ADDRESS}))
        assert (result["status"], result["reason"]) == ("exists", "accepted")
        assert sum(lab.log.connections.values()) > 0
