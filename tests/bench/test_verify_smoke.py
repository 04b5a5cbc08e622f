"""The benchmark of checking, small: it runs, what it makes is accepted, and a changed byte of it is not."""

import base64
import hashlib
import json
import sys

import pytest
from benchmarks import verify as bench
from benchmarks._receipts import Work, bundle_of

from sunward.errors import InvariantError
from sunward.model.codec import encode
from sunward.verification import sunward_verify
from sunward.verification.receipt import verify


def leaf(digest):
    return hashlib.sha256(b"\x00" + bytes.fromhex(digest)).hexdigest()


SMALL = Work(devices=3, minutes=62, gpus=2)


def test_its_keys(monkeypatch, capsys):
    words = [
        "verify",
        "--devices",
        "4",
        "--minutes",
        "6",
        "--batches",
        "7",
        "--rounds",
        "1",
        "--receipts",
        "2",
        "--no-day",
    ]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(bench, "stay_on_one_core", lambda: False)
    monkeypatch.setattr(bench, "calibrate", lambda: {"calibration_sort_s": 1.0})
    bench.main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"readings_per_s", "receipt_ms", "receipt_bytes", "calibration_sort_s"} <= set(told)
    assert (told["readings_per_s"], told["spans_per_batch_4"]) == (told["readings_per_s_4"], 6)


def test_its_receipt_is_accepted_by_both_verifiers_and_over_the_turn_of_an_hour(tmp_path):
    bundle = bundle_of(SMALL)
    assert verify(bundle).findings == ()
    (tmp_path / "bundle.json").write_bytes(encode(bundle))
    assert sunward_verify.main(str(tmp_path / "bundle.json")) == 0


def test_its_readings_are_really_checked():
    batches = bench.sealed_batches(Work(devices=2, minutes=6))
    assert bench.check(batches, 1_100_000) > 0
    with pytest.raises(InvariantError, match="batch 2"):
        bench.check(batches[1:], 1_100_000)


@pytest.mark.parametrize("each", [True, False])
def test_its_signatures_are_really_checked(each):
    batches = bench.sealed_batches(Work(devices=1, minutes=5))
    raw = bytearray(base64.b64decode(batches[-1].message))
    raw[-1] ^= 1
    message = base64.b64encode(raw).decode()
    alone = bench.Sealed(message=message, path=(), index=0, size=1, root=leaf(hashlib.sha256(raw).hexdigest()))
    assert bench.check(batches, 1_100_000, each=each) > 0
    with pytest.raises(InvariantError, match="not signed"):
        bench.check([*batches[:-1], alone], 1_100_000, each=each)
