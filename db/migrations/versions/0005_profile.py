"""Profiles; row-level security of what belongs to an account, with the role that acts for one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Roles belong to the whole cluster, and schema and function are Supabase's where it is one: what is there is used as
# it is, and nothing of it is taken back.
_ROLE = """
DO $$
DECLARE
    may_become text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mailverdict_account') THEN
        BEGIN
            CREATE ROLE mailverdict_account NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- another database of the cluster is migrated at the same time
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'mailverdict_account', may_become) THEN
        EXECUTE format('GRANT mailverdict_account TO %I', current_user);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'auth') THEN
        CREATE SCHEMA auth;
    END IF;
    IF to_regprocedure('auth.uid()') IS NULL THEN
        CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $uid$
            SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
        $uid$;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE insufficient_privilege USING
        MESSAGE = format('the login %I may not make what row-level security needs', current_user),
        HINT = format('As a superuser run once, in this database: CREATE ROLE mailverdict_account NOLOGIN; '
            'GRANT mailverdict_account TO %1$I; CREATE SCHEMA auth AUTHORIZATION %1$I; (leave out what is there '
            'already), then migrate again.', current_user);
END $$
"""

_COUNT = """
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
    RETURN NEW;
END $$
"""

_OWN = "account_id = (SELECT auth.uid())"
_WALLED = {
    "profile": (_OWN, _OWN, "SELECT, INSERT (account_id, display_name, document), UPDATE (display_name, document)"),
    "credit_account": (_OWN, _OWN, "SELECT, INSERT, UPDATE (balance, held, debt, updated_at)"),
    "credit_transaction": (_OWN, _OWN, "SELECT, INSERT"),
    "credit_lot": (_OWN, _OWN, "SELECT, INSERT, UPDATE (remaining, held, emptied_at)"),
    # An entry is written in one statement with its transaction, which a policy does not see yet: the trigger looks.
    "credit_entry": (
        "EXISTS (SELECT FROM credit_transaction t WHERE t.id = transaction_id)",
        "true",
        "SELECT, INSERT",
    ),
}

# Of another account's transaction one who acts for an account sees no entry: the sum is null, and that is refused too.
_BALANCED = """
CREATE OR REPLACE FUNCTION require_balanced_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM credit_entry WHERE transaction_id = NEW.transaction_id) {differs} 0 THEN
        RAISE EXCEPTION 'entries of transaction % do not add up to 0', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "profile",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column(
            "document",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "jsonb_typeof(document) = 'object' AND octet_length(document::text) <= 393216",
            name=op.f("ck_profile_document"),
        ),
        sa.CheckConstraint("char_length(display_name) BETWEEN 1 AND 200", name=op.f("ck_profile_display_name")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_profile_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_profile")),
    )
    op.execute(_COUNT)
    op.execute("CREATE TRIGGER is_counted BEFORE UPDATE ON profile FOR EACH ROW EXECUTE FUNCTION count_change()")
    # Accounts that are there begin as new ones do.
    op.execute("INSERT INTO profile (account_id) SELECT id FROM account")
    op.execute(
        "INSERT INTO credit_account (account_id, balance, held, debt, updated_at) "
        "SELECT id, 0, 0, 0, now() FROM account ON CONFLICT DO NOTHING"
    )
    op.execute(_ROLE)
    op.execute(_BALANCED.format(differs="IS DISTINCT FROM"))
    for table, (is_seen, may_be_written, rights) in _WALLED.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY service ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)")
        op.execute(
            f"CREATE POLICY own ON {table} TO mailverdict_account USING ({is_seen}) WITH CHECK ({may_be_written})"
        )
        op.execute(f"GRANT {rights} ON {table} TO mailverdict_account")


def downgrade() -> None:
    """Take back."""
    for table in reversed([name for name in _WALLED if name != "profile"]):
        op.execute(f"REVOKE ALL ON {table} FROM mailverdict_account")
        op.execute(f"DROP POLICY own ON {table}")
        op.execute(f"DROP POLICY service ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
    op.execute(_BALANCED.format(differs="<>"))
    op.drop_table("profile")
    op.execute("DROP FUNCTION count_change")
