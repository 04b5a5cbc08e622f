import base64
from dataclasses import replace

import cbor2
import pytest

from sunward.errors import InputError
from sunward.verification.reading import ToldBatch, ToldSpan, faults, message_signed, read_message
from tests.support.bundles import SITE_KEYS, genuine, public_hex

MESSAGE = genuine().batches[0].message
RAW = base64.b64decode(MESSAGE)
BATCH = read_message(MESSAGE)[0]


def framed(**change):
    parts = dict(zip(("protected", "unprotected", "payload", "signature"), cbor2.loads(RAW).value, strict=True))
    return base64.b64encode(cbor2.dumps(cbor2.CBORTag(18, list({**parts, **change}.values())))).decode()


def payload(**change):
    fields = cbor2.loads(cbor2.loads(RAW).value[2])
    return framed(payload=cbor2.dumps(fields | {int(key[1:]): value for key, value in change.items()}, canonical=True))


def test_a_message_is_read_and_its_signature_checked():
    batch, _, signed, signature = read_message(MESSAGE)
    assert isinstance(batch, ToldBatch)
    assert (batch.site, batch.counter, batch.previous) == ("es-a", 1, "")
    assert message_signed(signed, signature, public_hex(SITE_KEYS["es-a"]))
    assert not message_signed(signed, signature, public_hex(SITE_KEYS["no-b"]))
    assert not message_signed(signed, signature, "no key")


@pytest.mark.parametrize(
    "message",
    [
        "no base64!",
        base64.b64encode(b"").decode(),
        base64.b64encode(cbor2.dumps([1, 2])).decode(),
        base64.b64encode(RAW + b"\x00").decode(),
        framed(protected=bytes.fromhex("a10126")),
        framed(unprotected={1: 1}),
        framed(signature=7),
        framed(payload=b"\xff"),
        framed(payload=cbor2.dumps({1: 1})),
        framed(payload=7),
        payload(_1=2),
        payload(_2=7),
        payload(_4=True),
        payload(_7="aa"),
        payload(_7=b"aa"),
        payload(_1=True),
        payload(_10="spans"),
        payload(_9="perfect"),
        payload(_10=[[1, 2]]),
        payload(_10=[["a", "", "idle", 0, 1, 0, 1.5]]),
        payload(_11=0),
    ],
)
def test_whatever_is_no_reading_is_refused_with_a_reason(message):
    with pytest.raises(InputError, match=r"^(it|its|a) "):
        read_message(message)


def span(**change):
    return BATCH.spans[0]._replace(**change)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"t1_ms": BATCH.t0_ms}, "covers no time"),
        ({"t1_ms": BATCH.t0_ms + 86_400_001}, "more than a day"),
        ({"spans": (span(t1_ms=BATCH.t1_ms + 1),)}, "outside"),
        ({"spans": (span(t1_ms=BATCH.t0_ms),)}, "outside"),
        ({"spans": (span(end_j=0),)}, "falls"),
        ({"spans": (span(start_j=-1),)}, "falls"),
        ({"spans": (span(device="host"),)}, "one lease"),
        ({"spans": (span(), span())}, "overlap"),
        ({"site": ""}, "printable"),
        ({"boot": "a\nb"}, "printable"),
        ({"counter": 0}, "below 1"),
        ({"previous": "ab" * 32}, "first batch"),
        ({"uncertainty_ppm": 1_000_001}, "uncertainty"),
        ({"t0_ms": -1}, "2^53"),
        ({"spans": (span(end_j=2**53),)}, "2^53"),
        ({"spans": (span(state="dancing"),)}, "state"),
        ({"spans": (span(lease="x" * 129),)}, "lease"),
        ({"spans": (span(),) * 121}, "more spans"),
    ],
)
def test_what_cannot_be_true_of_a_batch_is_named(change, fault):
    assert any(fault in said for said in faults(replace(BATCH, **change)))


def test_a_genuine_batch_has_no_fault():
    assert list(faults(BATCH)) == []
    assert all(isinstance(one, ToldSpan) for one in BATCH.spans)
