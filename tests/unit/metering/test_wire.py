from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cwt import COSE, COSEKey

from sunward.errors import InputError
from sunward.metering.wire import BATCH_BYTES_MAX, batch_hash, decode_batch, encode_batch
from tests.unit.metering.samples import GOLDEN, HOUR, KEY, MINUTE, PUBLIC, batch, span

GOLDEN_HEX = (
    "d28443a10127a058ccaa01010263732d310363622d310401051b00000188ace70000061b00000188ace7ea6007400819c35009686d6f64656c6c"
    "65640a848764677075306e6a2d6162636465666768696a2e3164627573791b00000188ace700001b00000188ace7ea6000195dc0876467707531"
    "606469646c651b00000188ace700001b00000188ace7ea60001910688764686f73746064627573791b00000188ace700001b00000188ace7ea60"
    "0719232f87656d657465726064627573791b00000188ace700001b00000188ace7ea600a19ae6a584099157768a459c62616925374c3bf527e51"
    "d06a42627ddd1f8ac16fccec04924ba0404a7ac91dcb3688cbefa053871ca8a1461ea18b020b8e4dd784e28e9f0905"
)
GOLDEN_RAW = bytes.fromhex(GOLDEN_HEX)


def signed(payload: object) -> bytes:
    """Any payload, properly signed: what a broken or hostile signer could send."""
    raw = payload if isinstance(payload, bytes) else cbor2.dumps(payload, canonical=True)
    key = COSEKey.new({1: 1, 3: -8, -1: 6, -2: bytes.fromhex(PUBLIC), -4: KEY.private_bytes_raw()})
    return COSE.new().encode_and_sign(raw, key, protected={1: -8})


def fields(**changes: object) -> dict[int, object]:
    """The golden payload as a map, with keys like `k5` replaced."""
    found = cbor2.loads(cbor2.loads(GOLDEN_RAW).value[2])
    return {**found, **{int(key[1:]): value for key, value in changes.items()}}


def refusal(raw: bytes, public: str = PUBLIC) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        decode_batch(raw, public)
    assert "\n" not in caught.value.message
    return caught.value.code, caught.value.message


def test_the_wire_format_never_drifts() -> None:
    assert encode_batch(GOLDEN, KEY).hex() == GOLDEN_HEX
    assert decode_batch(GOLDEN_RAW, PUBLIC) == GOLDEN
    assert batch_hash(GOLDEN_RAW) == "4b5f3b0634a87791f344754dbdcb379f92670786d6ab99298c6af6d9f6fb36af"


def test_the_signature_is_plain_ed25519_over_the_sig_structure() -> None:
    protected, unprotected, payload, signature = cbor2.loads(GOLDEN_RAW).value
    assert unprotected == {}
    KEY.public_key().verify(signature, cbor2.dumps(["Signature1", protected, b"", payload]))


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_one_changed_byte_anywhere_is_refused(flip: int) -> None:
    for position in range(len(GOLDEN_RAW)):
        changed = bytearray(GOLDEN_RAW)
        changed[position] ^= flip
        assert refusal(bytes(changed))[0] in {"SW-301", "SW-302"}, position


def test_one_byte_more_or_less_is_refused() -> None:
    for position in range(len(GOLDEN_RAW) + 1):
        refusal(GOLDEN_RAW[:position] + b"\x00" + GOLDEN_RAW[position:])
    for position in range(len(GOLDEN_RAW)):
        assert refusal(GOLDEN_RAW[:position])[0] == "SW-301"


def test_an_unprotected_header_is_refused_although_no_signature_covers_it() -> None:
    tag = cbor2.loads(GOLDEN_RAW)
    tag.value[1] = {4: b"kid"}
    assert refusal(cbor2.dumps(tag))[0] == "SW-301"


def test_another_key_is_refused() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
    assert refusal(GOLDEN_RAW, other)[0] == "SW-302"


@pytest.mark.parametrize("public", ["", "zz", PUBLIC[:-2], PUBLIC + "00"])
def test_a_bad_public_key_is_named(public: str) -> None:
    assert refusal(GOLDEN_RAW, public)[0] == "SW-305"


@pytest.mark.parametrize("raw", [b"", b"\xd2", b"not cbor", b"\x00" * 200, b"\xd2" + b"\x84" * 300])
def test_anything_else_is_not_a_reading(raw: bytes) -> None:
    assert refusal(raw)[0] == "SW-301"


def test_too_much_is_refused_unread() -> None:
    assert refusal(GOLDEN_RAW[:7] + bytes(BATCH_BYTES_MAX))[0] == "SW-301"


@pytest.mark.parametrize("version", [0, 2, True, "1", None, 1.0, pytest.param(10**5000, id="huge")])
def test_an_unknown_version_is_named(version: object) -> None:
    assert refusal(signed(fields(k1=version)))[0] == "SW-303"


ROW = ["gpu0", "", "idle", HOUR, HOUR + MINUTE, 0, 5]


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"\x82\x01", "not CBOR"),
        (b"\xff", "not a map"),
        (b"\xa1\x01\xd8\x23\x01", "not CBOR"),
        (b"\xa1\x01\xd8\x1e\x82\x01\x00", "not CBOR"),
        (b"\x81" * 100_000, "not CBOR"),
        ([1, 2], "not a map"),
        (fields(k11=0), "exactly the keys"),
        ({key: value for key, value in fields().items() if key != 9}, "exactly the keys"),
        (fields(k2=7), "site must be of type str"),
        (fields(k2=""), "site must be 1 to"),
        (fields(k3="b\n1"), "boot must be 1 to"),
        (fields(k4=0), "counter must lie"),
        (fields(k4=True), "counter must be of type int"),
        (fields(k5=-1), "batch.t0_ms must lie"),
        (fields(k6=HOUR), "t1_ms must be later"),
        (fields(k6=HOUR + 90_000_000), "sign shorter batches"),
        (fields(k6=2**60), "batch.t1_ms must lie"),
        (fields(k7=b"short"), "previous is neither"),
        (fields(k7="text"), "previous must be of type bytes"),
        (fields(k7=bytes(32)), "previous must be empty"),
        (fields(k4=2), "previous must be empty"),
        (fields(k8=1_000_001), "uncertainty_ppm must lie"),
        (fields(k9="exact"), "quality 'exact'"),
        (fields(k10={}), "spans must be of type list"),
        (fields(k10=[[]]), "spans[0] must hold"),
        (fields(k10=[[*ROW[:5], 1.5, 2]]), "spans[0].start_j must be of type int"),
        (fields(k10=[[*ROW[:5], -1, 5]]), "spans[0].start_j must lie"),
        (fields(k10=[[*ROW[:5], 6, 5]]), "end_j is less than start_j"),
        (fields(k10=[["gpu0", "", "asleep?", *ROW[3:]]]), "spans[0].state"),
        (fields(k10=[["host", "j-1.1", *ROW[2:]]]), "host works for no single lease"),
        (fields(k10=[[*ROW[:3], HOUR, HOUR, 0, 5]]), "t1_ms must be later"),
        (fields(k10=[[*ROW[:3], HOUR - 1, HOUR + MINUTE, 0, 5]]), "outside the batch"),
        (fields(k10=[[*ROW[:3], HOUR, HOUR + MINUTE + 1, 0, 5]]), "outside the batch"),
        (fields(k10=[ROW, ROW]), "spans[1] overlaps"),
        (fields(k10=[[*ROW[:4], HOUR + 1, 0, 5], [*ROW[:3], HOUR + 1, HOUR + 2, 4, 6]]), "already counted"),
        (fields(k10=[["d" * 129, *ROW[1:]]]), "spans[0].device must be"),
        (fields(k10=[[*ROW[:3], HOUR + i, HOUR + i + 1, 0, 0] for i in range(121)]), "more than 120 spans"),
        (fields(k10=[[f"g{i}", *ROW[1:]] for i in range(20_001)]), "20001 spans"),
    ],
)
def test_a_malformed_field_is_named(payload: object, named: str) -> None:
    code, message = refusal(signed(payload))
    assert code == "SW-304"
    assert named in message


def test_only_canonical_cbor_is_read() -> None:
    backwards = cbor2.dumps(fields())[:1] + b"".join(
        cbor2.dumps(key) + cbor2.dumps(value) for key, value in reversed(fields().items())
    )
    assert refusal(signed(backwards))[0] == "SW-304"
    long_number = cbor2.dumps(fields()).replace(b"\x04\x01", b"\x04\x18\x01", 1)
    assert refusal(signed(long_number)) == (
        "SW-304",
        "malformed reading: the payload is not in canonical CBOR; sort keys and use the shortest form of each number",
    )


def test_nothing_invalid_is_ever_signed() -> None:
    for bad in (
        batch(span(end=-1)),
        replace(GOLDEN, previous="AB" * 32, counter=2),
        replace(GOLDEN, previous="x", counter=2),
        replace(GOLDEN, quality="exact"),
    ):
        with pytest.raises(InputError, match="malformed reading"):
            encode_batch(bad, KEY)
    many = tuple(span(f"{index:05d}" + "가" * 100) for index in range(15_000))
    with pytest.raises(InputError, match="bytes; at most"):
        encode_batch(batch(*many), KEY)


def test_a_later_batch_carries_the_hash_of_the_one_before() -> None:
    later = replace(GOLDEN, counter=2, previous=batch_hash(GOLDEN_RAW))
    assert decode_batch(encode_batch(later, KEY), PUBLIC) == later
