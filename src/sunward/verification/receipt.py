"""A receipt checked offline: everything on it that its evidence determines, computed again."""

from __future__ import annotations

from collections.abc import Iterator

from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.receipt import Receipt
from sunward.model.wire import RecordedEvent
from sunward.verification.account import check_account
from sunward.verification.adjustments import check_adjustments
from sunward.verification.batches import check_batches
from sunward.verification.bundle import BUNDLE_VERSION, Bundle, bound_message
from sunward.verification.certificates import check_certificates, claims_of
from sunward.verification.evidence import check_events, check_site_keys, check_vouched, open_evidence
from sunward.verification.journal import is_canonical
from sunward.verification.keys import check_signer, read_lineage
from sunward.verification.lines import check_lines, check_sums
from sunward.verification.signature import signed_by
from sunward.verification.verdict import Finding, Verdict

CHECKED = (
    "bundle_signature",
    "receipt_format",
    "receipt_signature",
    "journal_records",
    "batches",
    "sealed_totals",
    "lines",
    "sums",
    "certificates",
    "account",
    "adjustments",
)
NOT_PROVED = (
    "readings_true",
    "figures_of_catalogue",
    "market_factors",
    "offset_share",
    "attempt_times",
    "counterfactual_energy",
    "no_other_seals",
    "no_later_revision",
    "journal_between_records",
    "no_other_journal_shown",
)
"""What no bundle can show, or this version does not compute again; docs/verification.md says why."""
CERTIFICATES_ELSEWHERE = "certificates_elsewhere"
"""Where a receipt claims certificates: that no other account of this network or another registry does so too."""
PLACE_LEVELS = "place_levels"
"""Where the network asks for places: that the place of each site was shown as well as the receipt says."""
KEY_NOT_PROVED = "control_plane_key"


def verify(
    bundle: Bundle, public_key: str = "", rotations: tuple[RecordedEvent, ...] = (), *, apart: bool = True
) -> Verdict:
    """Check a receipt against its evidence.

    `public_key`: the control plane's key as known from elsewhere; without it the bundle's own is used, and
    whose key that is stays unproved. It may be an older key than the bundle's: the bundle then holds how one followed
    the other. `rotations`: the changes of keys as the service tells them now, for a bundle older than the key known.
    `apart`: check too the signature by which each record can be shown apart from the bundle. Without it a record counts
    as signed with the whole, by the same key; where many receipts are checked that saves most of the signatures.
    """
    whole = signed_by(bundle.public_key, bundle.bound, bound_message(bundle))
    findings = list(_check_identity(bundle, public_key, rotations))
    if not whole:
        sentence = "the bundle as a whole is not signed by the control plane's key"
        findings.append(Finding(key="bundle_signature", sentence=sentence))
    receipt, wrong = _read(bundle)
    findings.extend(wrong)
    if receipt is not None:
        findings.extend(_check_content(bundle, receipt, whole=whole and not apart))
    open_points = (*(receipt.not_proved if receipt else ()), *NOT_PROVED)
    if receipt is not None and claims_of(receipt):
        open_points = (*open_points, CERTIFICATES_ELSEWHERE)
    if any(record.kind == "place_rules_set" for record in bundle.events):
        open_points = (*open_points, PLACE_LEVELS)
    return Verdict(
        findings=tuple(findings),
        checked=CHECKED,
        not_proved=open_points if public_key else (*open_points, KEY_NOT_PROVED),
    )


def _check_identity(bundle: Bundle, public_key: str, rotations: tuple[RecordedEvent, ...]) -> Iterator[Finding]:
    if bundle.version != BUNDLE_VERSION:
        yield Finding(
            key="bundle_version",
            sentence="the bundle has version {version}; this program reads {known}",
            figures={"version": bundle.version, "known": BUNDLE_VERSION},
        )
    later = read_lineage(rotations)[0].keys or [""]
    for record in rotations:
        yield from check_vouched(record, later[-1])
    yield from check_signer(bundle.public_key, public_key, bundle.rotations, rotations, bundle.head)
    if not signed_by(bundle.public_key, bundle.signature, bundle.receipt.encode()):
        yield Finding(key="receipt_signature", sentence="the receipt is not signed by the control plane's key")


def _read(bundle: Bundle) -> tuple[Receipt | None, list[Finding]]:
    try:
        receipt = decode(bundle.receipt, Receipt)
    except InputError as reason:
        sentence = "the receipt cannot be read: {reason}"
        return None, [Finding(key="receipt_format", sentence=sentence, figures={"reason": reason.message})]
    if not is_canonical(bundle.receipt, encode(receipt)):
        return receipt, [Finding(key="receipt_format", sentence="the receipt is not in canonical form")]
    return receipt, []


def _check_content(bundle: Bundle, receipt: Receipt, *, whole: bool) -> Iterator[Finding]:
    yield from check_events(bundle, whole=whole)
    evidence = open_evidence(bundle.events, receipt.job)
    yield from check_site_keys(spec for declared in evidence.sites.values() for _, spec in declared)
    metered = check_batches(bundle.batches, evidence, receipt)
    yield from metered.findings
    yield from check_lines(bundle, receipt, evidence, metered)
    yield from check_sums(receipt)
    yield from check_certificates(receipt, evidence.shelf)
    yield from check_account(bundle, receipt, evidence, metered)
    yield from check_adjustments(bundle, receipt)
