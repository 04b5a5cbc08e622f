"""Signed words of others on a site's key, filed as evidence; and a key that its owner reports stolen."""

from __future__ import annotations

from collections.abc import Sequence

from sunward.adapters.endorsers import Endorser
from sunward.engine.readings import FOR_COVER, endorsement_id
from sunward.engine.trust import verdict
from sunward.errors import InputError
from sunward.model.codec import digest_bytes
from sunward.model.identity import TenantId
from sunward.model.site import SiteSpec
from sunward.model.trust import NETWORK, Consequence, Dimension, Evidence, Level, VerdictRecord
from sunward.verification.endorsement import read_endorsement
from sunward.verification.verdict import Finding

NOT_FOR_SITE, UNKNOWN_ENDORSER = "SW-788", "SW-789"
STOLEN = Finding(
    key="key_stolen",
    sentence="the owner of {site} reports that others held the key {key} from batch {counter} on: what it signed from "
    "there on is disputed",
)


def endorsed(endorsers: Sequence[Endorser], spec: SiteSpec, document: bytes, filed_by: str) -> Evidence:
    """What a document of that form shows of a site.

    What vouches for counters or for a site meter counts for the time and energy that readings cover, no more: by itself
    it is declared, and the day's cover takes its level (engine.readings).
    Raises: InputError (SW-786, SW-788, SW-789).
    """
    one = read_endorsement(document)
    if (one.site, one.key) != (spec.site, spec.public_key):
        line = (
            f"the endorsement is for key {one.key[:16]} of {one.site[:80]}, not for the one that {spec.site} signs with"
        )
        raise InputError(line, code=NOT_FOR_SITE)
    by = next((known for known in endorsers if known.public_key == one.endorser), None)
    if by is None or one.dimension not in by.dimensions:
        line = f"{one.endorser[:16]} is no endorser of {one.dimension} here; the operator names them in endorsers.toml"
        raise InputError(line, code=UNKNOWN_ENDORSER)
    digest = digest_bytes(document)
    return Evidence(
        evidence=endorsement_id(one.key, digest),
        site=spec.site,
        dimension=one.dimension,
        level=Level.DECLARED if one.dimension in FOR_COVER else by.level,
        statement=f"{one.what} (the word of {by.name})",
        digest=digest,
        filed_by=TenantId(filed_by),
        checked_by=NETWORK,
        value=by.level.rank,
        unit="rank of the level",
        valid_from_ms=one.valid_from_ms,
        valid_until_ms=one.valid_until_ms,
        coverage_ppm=one.coverage_ppm,
    )


def stolen(spec: SiteSpec, counter: int, at_ms: int) -> tuple[VerdictRecord, VerdictRecord]:
    """What follows from an owner's report: the energy level falls, and receipts of the site wait for its end."""
    figures: dict[str, str | int] = {"site": spec.site, "key": spec.public_key, "counter": counter}
    lowered, held = (
        verdict(
            Finding(key=key, sentence=STOLEN.sentence, figures=figures),
            dimension=Dimension.ENERGY,
            consequence=consequence,
            at_ms=at_ms,
            site=spec.site,
            about=spec.public_key,
        )
        for key, consequence in (
            (STOLEN.key, Consequence.LEVEL_LOWERED),
            (f"{STOLEN.key}_receipts", Consequence.RECEIPTS_HELD),
        )
    )
    return lowered, held
