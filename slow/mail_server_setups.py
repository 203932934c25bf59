"""Postfix with postgrey, Exim and OpenSMTPD of Debian: settings, how they are started, and which verdicts are right."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NAME_SERVER = "127.0.0.1"
GREYLIST_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Program:
    """One program to be started within a root; `{address}` needs no filling in: addresses are fixed."""

    command: tuple[str, ...]
    ready_port: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Setup:
    """A root with a mail server: its Debian packages, users, folders (with their owners), files and programs."""

    name: str
    packages: tuple[str, ...]
    users: tuple[str, ...]
    folders: Mapping[str, str]
    files: Mapping[str, str]
    programs: tuple[Program, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """An address and the verdict that is right for it."""

    email: str
    verdict: str
    host: str
    """The address of the mail host of its domain."""
    note: str = ""
    first: str = field(default="")
    """The verdict at the first try, where it differs."""

    @property
    def domain(self) -> str:
        """What stands after the @."""
        return self.email.rpartition("@")[2]


POSTFIX, POSTGREY, POSTFIX_BLOCKING = "127.0.0.2", "127.0.0.3", "127.0.0.4"
EXIM, OPENSMTPD = "127.0.0.5", "127.0.0.6"

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = /var/spool/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
data_directory = /var/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.postfix.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
virtual_mailbox_domains = postfix.test catchall.test grey.test blocked.test
virtual_mailbox_maps = texthash:/etc/postfix/mailboxes
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access texthash:/etc/postfix/access
smtpd_tls_cert_file = /etc/postfix/server.pem
smtpd_tls_security_level = may
maillog_file = /var/log/mail.log
"""

_MASTER_CF = f"""\
{POSTFIX}:25 inet n - n - - smtpd
{POSTGREY}:25 inet n - n - - smtpd
    -o smtpd_recipient_restrictions=check_policy_service,inet:127.0.0.1:10023
{POSTFIX_BLOCKING}:25 inet n - n - - smtpd
    -o smtpd_client_restrictions=reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_MAILBOXES = "".join(f"{name} x\n" for name in ("alice@postfix.test", "full@postfix.test", "disabled@postfix.test"))

_EXIM_CONF = f"""\
primary_hostname = mx.exim.test
domainlist local_domains = exim.test
local_interfaces = {EXIM}
daemon_smtp_ports = 25
tls_advertise_hosts =
acl_smtp_rcpt = check_rcpt
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
pid_file_path = /run/exim4/exim.pid
begin acl
check_rcpt:
  deny    message = relay not permitted
          domains = !+local_domains
  require verify = recipient
  accept
begin routers
mailboxes:
  driver = accept
  domains = +local_domains
  local_parts = alice : bob
  transport = nowhere
begin transports
nowhere:
  driver = appendfile
  file = /dev/null
  user = Debian-exim
"""

_SMTPD_CONF = f"""\
table mailboxes {{ "alice@opensmtpd.test" = "nobody" }}
listen on {OPENSMTPD} port 25 hostname mx.opensmtpd.test
action "deliver" maildir "/tmp/mail" virtual <mailboxes>
match from any for domain "opensmtpd.test" action "deliver"
"""

SETUPS = (
    Setup(
        name="postfix",
        packages=("postfix", "postgrey"),
        users=("postfix", "postgrey"),
        groups=("postdrop",),
        folders={"/var/lib/postfix": "postfix", "/var/spool/postfix": "root", "/var/lib/postgrey": "postgrey"},
        files={
            "/etc/postfix/main.cf": _MAIN_CF,
            "/etc/postfix/master.cf": _MASTER_CF,
            "/etc/postfix/mailboxes": _MAILBOXES + "alice@grey.test x\nalice@blocked.test x\n@catchall.test x\n",
            "/etc/postfix/access": "full@postfix.test 452 4.2.2 Mailbox full\n"
            "disabled@postfix.test 550 5.2.1 Mailbox disabled\n",
            "/etc/postgrey/whitelist_clients": "",
            "/etc/postgrey/whitelist_recipients": "",
        },
        prepare=(
            ("sh", "-c", "cp -n /usr/share/postfix/makedefs.out /etc/postfix/ 2>/dev/null; true"),
            (
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *(
                    "-subj",
                    "/CN=mx.postfix.test",
                    "-keyout",
                    "/etc/postfix/server.pem",
                    "-out",
                    "/etc/postfix/certificate.pem",
                ),
            ),
            ("sh", "-c", "cat /etc/postfix/certificate.pem >> /etc/postfix/server.pem"),
            ("sh", "-c", "/usr/sbin/postfix set-permissions >/dev/null 2>&1; /usr/sbin/postfix check; true"),
        ),
        programs=(
            Program(
                (
                    *("/usr/sbin/postgrey", "--inet=127.0.0.1:10023", f"--delay={GREYLIST_SECONDS}"),
                    *("--dbdir=/var/lib/postgrey", "--user=postgrey", "--group=postgrey", "--auto-whitelist-clients=0"),
                ),
                ("127.0.0.1", 10023),
            ),
            Program(("/usr/sbin/postfix", "start-fg"), (POSTFIX, 25)),
        ),
    ),
    Setup(
        name="exim",
        packages=("exim4-daemon-light",),
        users=("Debian-exim",),
        folders={"/var/spool/exim4": "Debian-exim", "/var/log/exim4": "Debian-exim", "/run/exim4": "Debian-exim"},
        files={"/etc/exim4/exim4.conf": _EXIM_CONF},
        programs=(Program(("/usr/sbin/exim4", "-bdf"), (EXIM, 25)),),
    ),
    Setup(
        name="opensmtpd",
        packages=("opensmtpd",),
        users=("opensmtpd", "opensmtpq"),
        folders={"/var/lib/opensmtpd/empty": "root"},
        files={"/etc/smtpd.conf": _SMTPD_CONF, "/etc/mailname": "mx.opensmtpd.test\n"},
        programs=(Program(("/usr/sbin/smtpd", "-d"), (OPENSMTPD, 25)),),
    ),
)

CASES = (
    Case("alice@postfix.test", "exists accepted", POSTFIX, "Postfix, over STARTTLS"),
    Case("nobody@postfix.test", "not_exists no_such_user", POSTFIX),
    Case("jürgen@postfix.test", "not_exists no_such_user", POSTFIX, "outside ASCII, SMTPUTF8"),
    Case("full@postfix.test", "exists mailbox_full", POSTFIX),
    Case("disabled@postfix.test", "not_exists mailbox_disabled", POSTFIX),
    Case("alice@catchall.test", "catchall accept_all", POSTFIX),
    Case("alice@foreign.test", "not_exists no_such_user", POSTFIX, "its only MX does not serve it"),
    Case("alice@blocked.test", "unknown blocked", POSTFIX_BLOCKING, "refuses the client"),
    Case("alice@grey.test", "exists accepted", POSTGREY, "postgrey", first="unknown greylisted"),
    Case("nobody@grey.test", "not_exists no_such_user", POSTGREY, "postgrey", first="unknown greylisted"),
    Case("alice@exim.test", "exists accepted", EXIM, "Exim"),
    Case("nobody@exim.test", "not_exists no_such_user", EXIM),
    Case("alice@unserved.test", "not_exists no_such_user", EXIM, "its only MX does not serve it"),
    Case("alice@opensmtpd.test", "exists accepted", OPENSMTPD, "OpenSMTPD"),
    Case("nobody@opensmtpd.test", "not_exists no_such_user", OPENSMTPD),
    Case("alice@elsewhere.test", "not_exists no_such_user", OPENSMTPD, "its only MX does not serve it"),
    *(
        Case(f"former{number}@{domain}", "not_exists no_such_user", host, "one of 40")
        for domain, host in (("postfix.test", POSTFIX), ("exim.test", EXIM), ("opensmtpd.test", OPENSMTPD))
        for number in range(40)
    ),
)
