"""Mutations about what is kept."""

import strawberry

from resolvers import retention
from schema.errors import USER_ERRORS, UserError
from schema.field import SESSION, mutation, payload, plain


@strawberry.input(description="Input of purgeExpired.")
class PurgeExpiredInput:
    is_dry_run: bool = strawberry.field(description="True to count only.", default=True)


@payload
class PurgeExpiredPayload:
    removed_count: int | None = plain(
        "How many drafts, rows of lists, sessions, links and revoked keys went, or would go. Purge again until it is 0."
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class RetentionMutations:
    purge_expired: PurgeExpiredPayload | None = mutation(
        retention.purge_expired,
        PurgeExpiredInput,
        SESSION,
        "Remove what is past its retention: of drafts, lists, sessions, links and revoked keys at most 1,000 each a "
        "call. Administrators only.",
    )
