"""A genuine bundle passes; whatever is changed on it, by a stranger or by a lying operator, is found and named."""

import base64
import json
from dataclasses import replace

import pytest

from sunward.errors import InputError
from sunward.metering.wire import encode_batch
from sunward.model.codec import decode, encode
from sunward.model.datum import Quality
from sunward.model.events import ForecastIssued
from sunward.model.signal import Forecast
from sunward.model.wire import RecordedEvent
from sunward.verification.batches import Metered, Opened
from sunward.verification.batches import _add as add_batch
from sunward.verification.bundle import Bundle, MarketFactor, read_bundle, select
from sunward.verification.reading import read_message
from sunward.verification.receipt import KEY_NOT_PROVED, NOT_PROVED, verify
from tests.support.bundles import (
    CONTROL,
    SITE_KEYS,
    SITES,
    as_signed,
    bound,
    genuine,
    genuine_journal,
    payload_of,
    public_hex,
    receipt_in,
    rerecorded,
    resigned,
)

OPEN = {
    ("epoch",),
    ("finished_ms",),
    ("attempts", 0, "ended"),
    ("attempts", 1, "ended"),
    ("counterfactuals", 0, "facility_j"),
    ("counterfactuals", 1, "facility_j"),
    ("not_proved", 0),
    ("not_proved", 1),
    ("not_proved", 2),
}
"""What a lying operator may still say; each is among what the verdict names as not proved."""


def keys(bundle, public_key=""):
    """What is found although the operator signed the bundle as a whole."""
    return {finding.key for finding in verify(bound(bundle), public_key).findings}


def leaves(value, path=()):
    """Paths of all scalars."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
    else:
        for key, inner in items:
            yield from leaves(inner, (*path, key))


def changed_at(text, path):
    """The JSON with one scalar changed."""
    whole = json.loads(text)
    *way, last = path
    parent = whole
    for key in way:
        parent = parent[key]
    value = parent[last]
    parent[last] = (not value) if isinstance(value, bool) else value + (1 if isinstance(value, int) else "x")
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False)


def signed(bundle, text):
    return replace(bundle, receipt=text, signature=CONTROL.sign(text.encode()).hex())


PATHS = list(leaves(json.loads(genuine().receipt)))


def test_who_signed_the_whole_signed_each_record_in_it():
    events = list(genuine().events)
    events[5] = replace(events[5], signature="")
    odd = replace(genuine(), events=tuple(events))
    assert verify(bound(odd), apart=False).ok
    assert {one.key for one in verify(bound(odd)).findings} == {"record_signature"}
    assert {one.key for one in verify(odd, apart=False).findings} == {"bundle_signature", "record_signature"}
    assert verify(genuine(), apart=False) == verify(genuine())


def test_a_genuine_bundle_passes_and_names_what_is_not_proved():
    verdict = verify(genuine())
    assert verdict.findings == ()
    assert verdict.ok
    assert verdict.not_proved == (*receipt_in(genuine()).not_proved, *NOT_PROVED, KEY_NOT_PROVED)
    assert KEY_NOT_PROVED not in verify(genuine(), public_hex(CONTROL)).not_proved


def test_a_figure_that_no_check_uses_is_bound_too():
    unused = MarketFactor(zone="XX", mg_per_kwh=1)
    assert {one.key for one in verify(replace(genuine(), market=(*genuine().market, unused))).findings} == {
        "bundle_signature"
    }


@pytest.mark.parametrize(
    "change", [lambda raw: raw + b"\n", lambda raw: raw.replace(b",", b", ", 1), lambda raw: b'{"x":1,' + raw[1:]]
)
def test_a_bundle_in_another_form_is_not_read(change):
    assert read_bundle(encode(genuine())) == genuine()
    with pytest.raises(InputError, match="canonical"):
        read_bundle(change(encode(genuine())))
    with pytest.raises(InputError, match="version 1"):
        read_bundle(encode(replace(genuine(), version=1)))


def test_one_signature_and_one_message_have_one_writing():
    first = genuine().batches[0].message
    assert first.endswith("=")
    letter = first.rstrip("=")[-1]
    other = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = first.rstrip("=")[:-1] + other[other.index(letter) + 1] + "=" * first.count("=")
    assert base64.b64decode(loose) == base64.b64decode(first)
    assert "batch_format" in keys(changed_batches((0, {"message": loose})))
    assert "receipt_signature" in keys(replace(genuine(), signature=genuine().signature.upper()))
    assert "receipt_signature" in keys(replace(genuine(), signature=genuine().signature + " "))


def test_a_bundle_survives_its_json():
    assert decode(encode(genuine()), Bundle) == genuine()


def test_a_changed_byte_anywhere_in_the_receipt_is_refused():
    raw = genuine().receipt.encode()
    for position in range(0, len(raw), 61):
        text = (raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]).decode()
        assert "receipt_signature" in keys(replace(genuine(), receipt=text)), position


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_false_figure_is_found_although_the_operator_signed_it(path):
    found = keys(signed(genuine(), changed_at(genuine().receipt, path)))
    assert bool(found) == (path not in OPEN), found
    assert "receipt_signature" not in found


def test_a_receipt_in_another_form_is_refused():
    spaced = json.dumps(json.loads(genuine().receipt))
    assert keys(signed(genuine(), spaced)) == {"receipt_format"}
    assert keys(signed(genuine(), "{}")) == {"receipt_format"}


def test_a_receipt_from_before_attempts_named_their_gpus_still_verifies():
    whole = json.loads(genuine().receipt)
    for attempt in whole["attempts"]:
        del attempt["gpus"]
    older = json.dumps(whole, separators=(",", ":"), ensure_ascii=False)
    assert keys(signed(genuine(), older)) == set()


def test_missing_and_invented_lines_are_found():
    receipt = receipt_in(genuine())
    fewer = replace(receipt, lines=receipt.lines[1:])
    assert {"lines", "sums"} <= keys(resigned(genuine(), fewer))
    invented = replace(receipt, lines=(*receipt.lines, replace(receipt.lines[0], site="else", hour_ms=10**15)))
    assert {"lines", "zone", "intensity", "water_ml"} <= keys(resigned(genuine(), invented))


def test_another_control_plane_is_refused():
    assert keys(genuine(), "00" * 32) == {"control_plane_key"}
    stranger = replace(genuine(), public_key=public_hex(SITE_KEYS["es-a"]))
    assert {"bundle_signature", "receipt_signature", "record_signature", "head"} <= keys(stranger)
    assert "receipt_signature" in keys(replace(genuine(), public_key="not hex"))


def test_an_unknown_bundle_version_is_refused():
    assert keys(replace(genuine(), version=1)) == {"bundle_version"}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"body": "{}"}, "event_body"),
        ({"at_ms": 1}, "record_hash"),
        ({"previous": "f" * 64}, "record_hash"),
        ({"kind": "never_heard_of"}, "event_body"),
        ({"signature": ""}, "record_signature"),
        ({"sequence": 1}, "chain"),
        ({"sequence": 10**6}, "head"),
    ],
)
def test_a_changed_record_is_found(change, key):
    events = list(genuine().events)
    events[5] = replace(events[5], **change)
    assert key in keys(replace(genuine(), events=tuple(events)))


def test_a_head_of_another_journal_is_found():
    last = genuine().events[-1]
    forged = replace(genuine().head, hash="f" * 64)
    assert "head" in keys(replace(genuine(), head=forged))
    assert "chain" in keys(replace(genuine(), events=(*genuine().events[:-1], replace(last, previous="f" * 64))))


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("network_started", "missing"),
        ("jobs_submitted", "missing"),
        ("rate_observed", "payment"),
        ("site_enrolled", "batch_place"),
        ("signal_observed", "intensity"),
        ("readings_sealed", "seals"),
    ],
)
def test_a_missing_record_is_found(kind, key):
    events = tuple(record for record in genuine().events if record.kind != kind)
    assert key in keys(replace(genuine(), events=events))


def test_a_seal_whose_totals_are_not_what_its_batches_say_is_found():
    sequence, seal = payload_of(genuine(), "readings_sealed")
    more = replace(seal.leases, gpu_j=tuple(joules + 1 for joules in seal.leases.gpu_j))
    assert keys(rerecorded(genuine(), sequence, replace(seal, leases=more))) == {"sealed_totals"}


def test_a_seal_may_give_a_lease_and_hour_in_several_rows():
    sequence, seal = payload_of(genuine(), "readings_sealed")
    columns = seal.leases
    split = {
        name: (*(value - 1 if name.endswith(("_j", "gpu_ms")) else value for value in getattr(columns, name)), *rest)
        for name in ("lease", "hour_ms", "gpu_j", "host_j", "overhead_j", "gpu_ms")
        for rest in [tuple(1 if name.endswith(("_j", "gpu_ms")) else value for value in getattr(columns, name))]
    }
    assert keys(rerecorded(genuine(), sequence, replace(seal, leases=replace(columns, **split)))) == set()


def test_a_seal_with_another_root_or_count_is_found():
    sequence, seal = payload_of(genuine(), "readings_sealed")
    assert keys(rerecorded(genuine(), sequence, replace(seal, root="f" * 64))) == {"merkle_proof"}
    assert keys(rerecorded(genuine(), sequence, replace(seal, batches=4))) == {"merkle_proof"}


def test_false_rules_declarations_and_rates_are_found():
    sequence, rules = payload_of(genuine(), "network_started")
    assert "payment" in keys(rerecorded(genuine(), sequence, replace(rules, provider_share_bps=7_999)))
    sequence, enrolled = payload_of(genuine(), "site_enrolled")
    spec = enrolled.spec
    for change, key in (
        ({"overhead_ppm": 1_153_947}, "sealed_totals"),
        ({"zone": "PL"}, "zone"),
        ({"ask_usd_micro_per_gpu_h": 1}, "price"),
        ({"water_ml_per_kwh": 9_999}, "water_ml"),
        ({"public_key": "00" * 32}, "batch_signature"),
        ({"pools": (replace(spec.pools[0], devices=("x",)),)}, "device"),
        ({"overhead_quality": Quality.MODELLED}, "not_proved"),
    ):
        other = replace(enrolled, spec=replace(spec, **change))
        assert key in keys(rerecorded(genuine(), sequence, other)), change


def test_a_later_declaration_counts_only_for_what_follows_it():
    sequence, enrolled = payload_of(genuine(), "site_enrolled")
    later = replace(enrolled, spec=replace(enrolled.spec, overhead_ppm=2_000_000, ask_usd_micro_per_gpu_h=1))
    events = genuine().events
    again = replace(events[sequence - 1], sequence=len(events) + 1, body=encode(later).decode())
    found = keys(replace(genuine(), events=(*events, again)))
    assert "price" in found
    assert "sealed_totals" not in found


def test_the_budget_bounds_the_payment():
    sequence, submitted = payload_of(genuine(), "jobs_submitted")
    jobs = tuple(replace(spec, budget_usd_micro=1) for spec in submitted.jobs)
    assert keys(rerecorded(genuine(), sequence, replace(submitted, jobs=jobs))) == {"payment"}


def forecast_only():
    """The bundle with forecasts where observations were."""
    sequence, observed = payload_of(genuine(), "signal_observed")
    forecasts = tuple(
        Forecast(
            zone=one.zone,
            kind=one.kind,
            issued_ms=one.start_ms,
            start_ms=one.start_ms,
            p10=one.values,
            p50=one.values,
            p90=one.values,
            source=one.source,
            quality=one.quality,
        )
        for one in observed.observations
    )
    return rerecorded(genuine(), sequence, ForecastIssued(forecasts=forecasts, digest=""))


def test_a_forecast_stands_in_for_a_missing_observation_only_when_labelled():
    receipt = receipt_in(genuine())
    labelled = replace(
        receipt,
        lines=tuple(replace(line, carbon_quality=Quality.FORECAST) for line in receipt.lines),
        not_proved=(*receipt.not_proved, "carbon_intensity_forecast"),
    )
    assert keys(forecast_only()) == {"intensity"}
    assert keys(resigned(forecast_only(), labelled)) == set()
    chosen = select(receipt, forecast_only().events)
    assert "forecast_issued" in {record.kind for record in chosen}


def test_an_intensity_nobody_told_is_found():
    sequence, observed = payload_of(genuine(), "signal_observed")
    kept = tuple(one for one in observed.observations if one.zone != "NO")
    assert keys(rerecorded(genuine(), sequence, replace(observed, observations=kept))) == {"intensity"}


def test_figures_outside_the_journal_must_fit():
    assert "embodied_mg" in keys(replace(genuine(), hardware=()))
    assert "market_factor" in keys(replace(genuine(), market=()))
    assert keys(replace(genuine(), offset_share_bps=138)) == {"payment"}
    assert "offset_share" in keys(replace(genuine(), offset_share_bps=501))


def changed_batches(*changes):
    """The bundle with some batches replaced."""
    batches = list(genuine().batches)
    for index, change in changes:
        batches[index] = replace(batches[index], **change)
    return replace(genuine(), batches=tuple(batches))


def test_a_missing_or_doubled_batch_is_found():
    batches = genuine().batches
    assert "sealed_totals" in keys(replace(genuine(), batches=batches[1:]))
    assert {"batch_chain", "sealed_totals"} <= keys(replace(genuine(), batches=(*batches, batches[0])))


def test_a_batch_in_the_wrong_place_is_found():
    assert "merkle_proof" in keys(changed_batches((0, {"path": ()})))
    assert "merkle_proof" in keys(changed_batches((0, {"seal": genuine().batches[-1].seal})))
    assert "batch_place" in keys(changed_batches((0, {"seal": 1})))


def test_a_changed_byte_anywhere_in_a_batch_is_found():
    raw = base64.b64decode(genuine().batches[0].message)
    for position in range(0, len(raw), 7):
        other = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        found = keys(changed_batches((0, {"message": base64.b64encode(other).decode()})))
        assert found & {"batch_format", "batch_signature", "batch_place"}, position
    assert "batch_format" in keys(changed_batches((0, {"message": "?"})))


def test_a_false_signature_is_found_also_where_another_batch_follows():
    for index in (0, 1):
        raw = base64.b64decode(genuine().batches[index].message)
        other = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
        assert "batch_signature" in keys(changed_batches((index, {"message": other})))


def resealed(index, change):
    """One batch rewritten and signed by its own site, as a lying provider would after the seal."""
    batch = as_signed(genuine().batches[index].message)
    other = encode_batch(replace(batch, **change(batch)), SITE_KEYS[batch.site])
    return changed_batches((index, {"message": base64.b64encode(other).decode()}))


def test_readings_signed_again_after_the_seal_are_found():
    def more(batch):
        first, *rest = batch.spans
        return {"spans": (replace(first, end_j=first.end_j + 100), *rest)}

    assert {"merkle_proof", "sealed_totals", "batch_chain"} <= keys(resealed(0, more))
    assert {"merkle_proof", "batch_chain"} <= keys(resealed(1, lambda _: {"previous": "f" * 64}))


def test_a_lease_claimed_by_another_site_is_found():
    def claim(batch):
        first, *rest = batch.spans
        return {"spans": (replace(first, lease="j-1.2"), *rest)}

    assert "attempt" in keys(resealed(0, claim))


def test_a_batch_without_the_job_has_no_place_in_the_bundle():
    def nobody(batch):
        return {"spans": tuple(replace(span, lease="") for span in batch.spans)}

    assert "batch_place" in keys(resealed(0, nobody))


@pytest.mark.parametrize(
    ("told", "uncertainty_ppm", "counts"),
    [
        (Quality.MEASURED, 100_000, Quality.MEASURED),
        (Quality.MEASURED, 100_001, Quality.ESTIMATED),
        (Quality.FORECAST, 100_001, Quality.FORECAST),
    ],
)
def test_wide_counters_count_as_an_estimate(told, uncertainty_ppm, counts):
    item = genuine().batches[0]
    message = read_message(item.message)
    batch = replace(message.batch, quality=told, uncertainty_ppm=uncertainty_ppm)
    opened = Opened(item=item, message=message._replace(batch=batch), site=SITES[batch.site], key="", sound=True)
    metered = Metered("j-1")
    add_batch(opened, {"j-1.1": "A100"}, metered)
    assert metered.qualities == [counts]


def test_a_better_quality_than_the_readings_have_is_found():
    receipt = receipt_in(genuine())
    assert "quality" in keys(resigned(genuine(), replace(receipt, energy_quality=Quality.MEASURED)))


def test_select_takes_from_the_journal_what_a_bundle_needs():
    records, bundle = genuine_journal()
    chosen = select(receipt_in(bundle), records)
    assert set(chosen) <= set(records)
    assert verify(bound(replace(bundle, events=chosen))).ok


def test_select_leaves_out_what_is_not_needed():
    records, bundle = genuine_journal()
    stranger = RecordedEvent(
        sequence=99, previous="", hash="", term=1, kind="timer_fired", version=1, at_ms=0, body="{}"
    )
    early = replace(records[1], sequence=0)
    assert select(receipt_in(bundle), (early, *records, stranger)) == select(receipt_in(bundle), records)
