"""The verifier for strangers: one short file, nothing of Sunward in it, and no byte of a bundle can change unseen."""

import ast
import base64
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sunward.errors import InputError
from sunward.metering.wire import encode_batch
from sunward.model.codec import encode
from sunward.verification import sunward_verify
from sunward.verification.bundle import read_bundle
from sunward.verification.receipt import NOT_PROVED, verify
from tests.property.test_verifier_receipt import PATHS, changed_at, signed
from tests.support.bundles import CONTROL, SITE_KEYS, as_signed, bound, genuine, payload_of, public_hex, rerecorded

SOURCE = Path(sunward_verify.__file__)
LINES = 200
OF_LINES = {
    *("site", "zone", "hour_ms", "gpu_model", "gpu_ms", "gpu_j", "host_j", "overhead_j"),
    *("carbon_mg_per_kwh", "location_mg", "market_mg", "embodied_mg", "water_ml"),
}
OF_ALL = {
    *("job", "gpu_j", "host_j", "overhead_j", "facility_j", "gpu_ms", "location_mg", "market_mg", "embodied_mg"),
    *("water_ml", "price_usd_micro", "price_wei", "offset_wei", "provider_wei", "network_wei", "refund_wei"),
}
"""What it works out; the rest it leaves to `sunward verify`, as its last line says."""


@pytest.fixture
def told(tmp_path, capsys):
    """Exit code and words of the verifier for a bundle or for bytes."""

    def run(bundle, *key):
        file = tmp_path / "bundle.json"
        file.write_bytes(bundle if isinstance(bundle, bytes) else encode(bundle))
        code = sunward_verify.main(str(file), *key)
        return code, capsys.readouterr().out

    return run


def found_by_sunward(raw: bytes) -> bool:
    try:
        return not verify(read_bundle(raw)).ok
    except InputError:
        return True


def test_it_is_one_short_file_without_sunward():
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= LINES
    tree = ast.parse(text)
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    outside = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert outside == {"cbor2", "cryptography"}


def test_it_runs_where_sunward_is_not(tmp_path):
    (tmp_path / "check.py").write_text(SOURCE.read_text())
    (tmp_path / "bundle.json").write_bytes(encode(genuine()))
    block = "import sys; sys.modules['sunward'] = None; sys.argv = sys.argv[1:]; import runpy; "
    program = block + "runpy.run_path('check.py', run_name='__main__')"
    ran = subprocess.run(
        [sys.executable, "-c", program, "check.py", "bundle.json", public_hex(CONTROL)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("OK: ")


def test_it_ends_with_all_that_was_not_proved(told):
    for bundle in (genuine(), replace(genuine(), version=1)):
        _, text = told(bundle)
        open_points = text.partition("Not proved:")[2]
        assert all(key in open_points for key in NOT_PROVED)
    assert "result_not_checked" in told(genuine())[1]


def test_another_key_is_refused(told):
    assert told(genuine(), public_hex(CONTROL))[0] == 0
    assert told(genuine(), "00" * 32)[0] == 1


def test_a_changed_byte_is_found_by_both(told):
    raw, draw = encode(genuine()), random.Random(780)
    tail = range(len(raw) - 141, len(raw))
    for position in {*draw.sample(range(len(raw)), 250), *tail}:
        other = raw[:position] + bytes([raw[position] ^ (1 << draw.randrange(7))]) + raw[position + 1 :]
        code, text = told(other)
        assert code == 1, (position, other[position])
        assert "Not proved:" in text
        assert found_by_sunward(other), (position, other[position])


def test_a_byte_left_out_or_put_in_is_found_by_both(told):
    raw, draw = encode(genuine()), random.Random(781)
    for position in [*draw.sample(range(len(raw)), 30), len(raw) - 1]:
        for other in (raw[:position] + raw[position + 1 :], raw[:position] + b" " + raw[position:], raw[:position]):
            assert told(other)[0] == 1, position
            assert found_by_sunward(other), position


@pytest.mark.soak
def test_every_byte_of_a_bundle_counts(told):
    raw, draw = encode(genuine()), random.Random(782)
    for position in range(len(raw)):
        for flip in (1, 32, draw.randrange(1, 256)):
            other = raw[:position] + bytes([raw[position] ^ flip]) + raw[position + 1 :]
            assert told(other)[0] == 1, (position, flip)
            assert found_by_sunward(other), (position, flip)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_false_figure_is_found_although_the_operator_signed_it(told, path):
    code, text = told(bound(signed(genuine(), changed_at(genuine().receipt, path))))
    if path[-1] in (OF_LINES if path[0] == "lines" else OF_ALL if len(path) == 1 else ()):
        assert code == 1, text
    if code:
        assert "signed" not in text.partition("\n")[0]


def refused(told, bundle, words):
    code, text = told(bound(bundle))
    assert code == 1
    assert words in text.partition("\n")[0]


def test_a_lying_operators_records_are_found(told):
    sequence, seal = payload_of(genuine(), "readings_sealed")
    more = replace(seal.leases, gpu_j=tuple(joules + 1 for joules in seal.leases.gpu_j))
    refused(told, rerecorded(genuine(), sequence, replace(seal, leases=more)), "do not add up")
    refused(told, rerecorded(genuine(), sequence, replace(seal, root="f" * 64)), "does not lead to its seal")
    sequence, rules = payload_of(genuine(), "network_started")
    refused(told, rerecorded(genuine(), sequence, replace(rules, provider_share_bps=7_999)), "provider_wei")
    sequence, enrolled = payload_of(genuine(), "site_enrolled")
    for change, words in (
        ({"overhead_ppm": 1_153_947}, "do not add up"),
        ({"zone": "NO"}, "zone is ES"),
        ({"ask_usd_micro_per_gpu_h": 1}, "price_usd_micro"),
        ({"public_key": "00" * 32}, "is not signed"),
    ):
        other = replace(enrolled, spec=replace(enrolled.spec, **change))
        refused(told, rerecorded(genuine(), sequence, other), words)
    for change, words in (
        ({"at_ms": 1}, "another hash"),
        ({"previous": "f" * 64}, "another hash"),
        ({"signature": "00" * 64}, "is not signed"),
        ({"sequence": 10**6}, "not in order"),
    ):
        events = list(genuine().events)
        events[5] = replace(events[5], **change)
        refused(told, replace(genuine(), events=tuple(events)), words)


def test_a_head_and_a_chain_of_another_journal_are_found(told):
    refused(told, replace(genuine(), head=replace(genuine().head, hash="f" * 64)), "record 8")
    other = rerecorded(genuine(), 2, payload_of(genuine(), "rate_observed")[1])
    assert other.events == genuine().events
    early = payload_of(genuine(), "network_started")[1]
    forked = rerecorded(genuine(), 1, replace(early, network="other"))
    mixed = (*genuine().events[:4], *forked.events[4:])
    refused(told, replace(forked, events=mixed), "not in its place")


def with_values(values):
    sequence, observed = payload_of(genuine(), "signal_observed")
    *others, last = observed.observations
    return rerecorded(genuine(), sequence, replace(observed, observations=(*others, replace(last, values=values))))


def test_a_clean_hour_is_no_missing_one_and_an_empty_series_says_nothing(told):
    refused(told, with_values((30_011, 0)), "carbon_mg_per_kwh is 29989; the evidence gives 0")
    sequence, observed = payload_of(genuine(), "signal_observed")
    empty = replace(observed.observations[0], values=())
    more = replace(observed, observations=(empty, *observed.observations))
    assert told(bound(rerecorded(genuine(), sequence, more)))[0] == 0


def resealed(index, change):
    batch = as_signed(genuine().batches[index].message)
    other = base64.b64encode(encode_batch(replace(batch, **change(batch)), SITE_KEYS[batch.site])).decode()
    batches = list(genuine().batches)
    batches[index] = replace(batches[index], message=other)
    return replace(genuine(), batches=tuple(batches))


def test_a_lying_sites_batches_are_found(told):
    def more(batch):
        first, *rest = batch.spans
        return {"spans": (replace(first, end_j=first.end_j + 100), *rest)}

    refused(told, resealed(0, more), "does not lead to its seal")
    batches = genuine().batches
    refused(told, replace(genuine(), batches=batches[1:]), "do not add up")
    refused(told, replace(genuine(), batches=(*batches, batches[0])), "does not follow")
    refused(told, replace(genuine(), batches=(batches[1], batches[0], *batches[2:])), "does not follow")


def test_an_energy_of_a_kind_that_was_not_metered_is_found(told):
    receipt = json.loads(genuine().receipt)
    receipt["lines"][0]["host_j"] += 1
    receipt["host_j"] += 1
    receipt["facility_j"] += 1
    text = json.dumps(receipt, separators=(",", ":"))
    refused(told, signed(genuine(), text), "host_j")


def test_what_is_no_bundle_is_refused_with_what_was_not_proved(told):
    for raw in (b"", b"{}", b"[]", b"[" * 100_000, encode(bound(signed(genuine(), "[]")))):
        code, text = told(raw)
        assert code == 1
        assert text.startswith("REFUSED: ")
        assert "no_other_journal_shown" in text
