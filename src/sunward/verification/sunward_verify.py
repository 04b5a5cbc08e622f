"""Check the bundle of a receipt without Sunward: this file and `pip install cryptography cbor2`, no network.

`python sunward_verify.py BUNDLE [KEY]` with the control plane's public key, hex, as known from elsewhere. Exit 0:
nothing is wrong; 1: refused, and why. Rules: docs/verification.md, readings.md, journal.md and settlement.md.
"""

import base64
import json
import sys
from collections import Counter, defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOT_PROVED = """readings_true: a signature shows who said it, not that the counter was right
figures_of_catalogue, market_factors, offset_share: compare them with what is published
attempt_times, counterfactual_energy: they are the agent's and the control plane's word
no_other_seals, no_later_revision: that nothing more of the job was left out
journal_between_records, no_other_journal_shown: follow it with `sunward journal mirror`, compare signed heads
market-based, embodied, water, places, promises, SCI, qualities, adjustments, single spans: see `sunward verify`"""
MILLION, TEN_THOUSAND, HOUR, KWH = 1_000_000, 10_000, 3_600_000, 3_600_000
METERED = ("gpu_ms", "gpu_j", "host_j", "overhead_j")
SUMMED = (*METERED, "location_mg", "market_mg", "embodied_mg", "water_ml")
RECORD = ("previous", "sequence", "term", "kind", "version", "at_ms", "body")
Json = dict[str, Any]


def need(true: object, text: str) -> None:
    """Refuse with a sentence unless something is true."""
    if not true:
        raise ValueError(text)


def signed(key: str, signature: str, message: bytes, what: str) -> None:
    """Refuse what a key did not sign."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)
    except InvalidSignature:
        raise ValueError(f"{what} is not signed by its key") from None


def root(leaf: bytes, index: int, size: int, path: list[str]) -> bytes:
    """The root of a Merkle tree (RFC 6962) of a size, from one leaf and its siblings, the nearest first."""
    if size == 1:
        return sha256(b"\0" + leaf).digest()
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return sha256(b"\1" + root(leaf, index, half, path[:-1]) + bytes.fromhex(path[-1])).digest()
    return sha256(b"\1" + bytes.fromhex(path[-1]) + root(leaf, index - half, size - half, path[:-1])).digest()


def split(amount: int, weights: dict[Any, int]) -> dict[Any, int]:
    """An amount by weight in whole units, largest remainder first, equal ones in the order given."""
    total = sum(weights.values())
    parts = {key: amount * weight // total for key, weight in weights.items()}
    for key in sorted(weights, key=lambda key: -(amount * weights[key] % total))[: amount - sum(parts.values())]:
        parts[key] += 1
    return parts


def energy(batch: dict[int, Any], above_ppm: int) -> dict[Any, Counter[str]]:
    """What METERED names, of one batch, by lease and hour; the lease "" is idle time."""
    rows: dict[Any, Counter[str]] = defaultdict(lambda: Counter(dict.fromkeys(METERED, 0)))
    for device, lease, _, t0, t1, start, end in batch[10]:
        hours = {hour: min(t1, hour + HOUR) - max(t0, hour) for hour in range(t0 // HOUR * HOUR, t1, HOUR)}
        above, of_host = end * above_ppm // MILLION - start * above_ppm // MILLION, device == "host"
        for hour in hours if device != "meter" else ():
            awake = Counter({} if of_host else {lease: 1})
            for other, user, state, t2, t3, *_ in batch[10] if of_host else ():
                if other not in {"host", "meter"} and (user or state not in {"off", "asleep"}):
                    awake[user] += max(0, min(t1, t3, hour + HOUR) - max(t0, t2, hour))
            weights = {user: awake[user] for user in sorted(awake) if awake[user]} or {"": 1}
            rows[lease, hour]["gpu_ms"] += 0 if of_host else hours[hour]
            for name, joules in (("host_j" if of_host else "gpu_j", end - start), ("overhead_j", above)):
                for user, share in split(split(joules, hours)[hour], weights).items():
                    rows[user, hour][name] += share
    meters = [span for span in batch[10] if span[0] == "meter"]
    if sum(span[4] - span[3] for span in meters) >= batch[6] - batch[5]:
        used = {key: row["gpu_j"] + row["host_j"] for key, row in sorted(rows.items()) if row["gpu_j"] + row["host_j"]}
        shares = split(max(0, sum(span[6] - span[5] for span in meters) - sum(used.values())), used) if used else {}
        for key, row in rows.items():
            row["overhead_j"] = shares.get(key, 0)
    return rows


def read_journal(bundle: Json, job: str) -> Json:
    """Hash, signature and place of every record up to the head; and what they say: of one kind the last counts."""
    facts: Json = {"sites": defaultdict(list), "seals": {}, "carbon": {}}
    head, seen = bundle["head"], {bundle["head"]["sequence"]: bundle["head"]["hash"]}
    need(bundle["events"] == sorted(bundle["events"], key=lambda one: one["sequence"]), "records are not in order")
    for one in [*bundle["events"], head]:
        number, text = one["sequence"], "\n".join(str(one[name]) for name in RECORD if name in one)
        digest = sha256(f"sunward-journal/1\n{text}".encode()).hexdigest() if one is not head else one["hash"]
        need(one["hash"] == digest == seen.setdefault(number, digest), f"record {number} has another hash")
        follows = seen.get(number - 1) in {None, one.get("previous", seen.get(number - 1))}
        need(follows and number <= head["sequence"], f"record {number} is not in its place")
        message = f"sunward-head/1\n{number}\n{one['hash']}\n{one['term']}\n"
        signed(bundle["public_key"], one["signature"], message.encode(), f"record {number}")
    for one in bundle["events"]:
        body = facts[one["kind"]] = json.loads(one["body"])
        if one["kind"] == "site_enrolled":
            facts["sites"][body["spec"]["site"]].append((one["sequence"], body["spec"]))
        if one["kind"] == "readings_sealed":
            facts["seals"][one["sequence"]] = body
        facts["job"] = next((spec for spec in body.get("jobs", ()) if spec["job"] == job), facts.get("job"))
        for series in body.get("observations") or body.get("forecasts") or ():
            for place, value in enumerate(series["p50" if "p50" in series else "values"]):
                if series["kind"] == "carbon_average_lifecycle":
                    facts["carbon"]["p50" in series, series["zone"], series["start_ms"] + place * HOUR] = value
    return facts


def read_batch(item: Json, facts: Json, last: Json) -> tuple[dict[int, Any], Json]:
    """The fields of a batch that its site signed, after the one before it, and in its seal; the site as declared."""
    raw, seal = base64.b64decode(item["message"], validate=True), facts["seals"][item["seal"]]
    protected, _, payload, signature = cbor2.loads(raw).value
    batch, digest = cbor2.loads(payload), sha256(raw).digest()
    name = f"batch {batch[4]} of {batch[2]}"
    site = [spec for sequence, spec in facts["sites"][batch[2]] if sequence < item["seal"]][-1]
    keys = [one["public_key"] for one in site.get("retired_keys", ()) if batch[4] <= one["last_counter"]]
    signed([*keys, site["public_key"]][0], signature.hex(), cbor2.dumps(["Signature1", protected, b"", payload]), name)
    ranges = [(one["site"], range(one["first_counter"], one["last_counter"] + 1)) for one in seal["sites"]]
    places = sorted((one, counter) for one, counters in ranges for counter in counters)
    top = root(digest, places.index((batch[2], batch[4])), len(places), item["path"])
    need(len(places) == seal["batches"] and top.hex() == seal["root"], f"{name} does not lead to its seal")
    counter, end, before = last.get(batch[2], (-1, 0, b""))
    chained = batch[4] > counter + 1 or (batch[4], batch[7]) == (counter + 1, before)
    need(chained and end <= batch[5], f"{name} does not follow the one before")
    last[batch[2]] = (batch[4], batch[6], digest)
    return batch, site


def check_receipt(bundle: Json, receipt: Json, facts: Json) -> None:
    """Batches add up to the seals, these to the lines, these to the totals; emissions, price and payment follow."""
    job, last, used, right = receipt["job"], {}, Counter(), []  # type: str, Json, Counter[Any], list[tuple[Json, Json]]
    sealed, told, lines = defaultdict(Counter), defaultdict(Counter), defaultdict(Counter)  # type: Any, Any, Any
    attempts = {f"{job}.{one['attempt']}": one for one in receipt["attempts"]}
    for item in bundle["batches"]:
        batch, site = read_batch(item, facts, last)
        models = {device: pool["gpu_model"] for pool in site["pools"] for device in pool["devices"]}
        own = {span[1]: models[span[0]] for span in batch[10] if span[1].rpartition(".")[0] == job}
        for (lease, hour), row in energy(batch, site["overhead_ppm"] - MILLION).items():
            if lease in own:
                need(attempts[lease]["site"] == batch[2], f"{lease} is no attempt at {batch[2]}")
                sealed[item["seal"], lease, hour].update(row)
                lines[hour, batch[2], own[lease]].update(row)
                offered = attempts[lease].get("offered") or sys.maxsize
                ask = [spec for sequence, spec in facts["sites"][batch[2]] if sequence <= offered][-1]
                used[batch[2], ask["ask_usd_micro_per_gpu_h"]] += row["gpu_ms"]
    for sequence, table in [(one, facts["seals"][one]["leases"]) for one in receipt["seals"]]:
        for lease, hour, *figures in zip(*(table[name] for name in ("lease", "hour_ms", *METERED)), strict=True):
            if lease.rpartition(".")[0] == job:
                told[sequence, lease, hour].update(dict(zip(METERED, figures, strict=True)))
    keys = [(line["hour_ms"], line["site"], line["gpu_model"]) for line in receipt["lines"]]
    need(told == sealed and keys == sorted(lines), "batches, seals and lines do not add up to the same")
    for key, line in zip(keys, receipt["lines"], strict=True):
        zone, facility = facts["sites"][key[1]][-1][1]["zone"], sum(lines[key][name] for name in METERED[1:])
        zone = line["zone"] if "place_rules_set" in facts and "declared_zone" in receipt["not_proved"] else zone
        carbon = facts["carbon"].get((False, zone, key[0]), facts["carbon"].get((True, zone, key[0])))
        location = (2 * facility * carbon + KWH) // (2 * KWH)
        right += [(line, {"zone": zone, "carbon_mg_per_kwh": carbon, "location_mg": location, **lines[key]})]
    sums = {name: sum(line[name] for line in receipt["lines"]) for name in SUMMED}
    price, spec = sum(time * ask // HOUR for (_, ask), time in used.items()), facts["job"]
    rate = facts["rate_observed"]["wei_per_usd_micro"]
    paid = min(min(price, spec["budget_usd_micro"] or price) * rate, spec["escrow_wei"])
    offset = paid * bundle["offset_share_bps"] // TEN_THOUSAND
    provider = (paid - offset) * facts["network_started"]["provider_share_bps"] // TEN_THOUSAND
    money = {"price_usd_micro": price, "price_wei": paid, "offset_wei": offset, "provider_wei": provider}
    money |= {"network_wei": paid - offset - provider, "refund_wei": spec["escrow_wei"] - paid}
    for line, expected in [*right, (receipt, {**money, **sums, "facility_j": sum(map(sums.get, METERED[1:]))})]:
        for name, value in expected.items():
            need(line[name] == value, f"{name} is {line[name]}; the evidence gives {value}")


def main(file: str, known: str = "") -> int:
    """Print the verdict and what was not proved."""
    raw, verdict, receipt = Path(file).read_bytes(), "OK: nothing is wrong", {}  # type: bytes, str, Json
    try:
        bundle = json.loads(raw)
        whole = f"sunward-bundle/1\n{sha256(raw[:-140]).hexdigest()}\n".encode()
        ending = f',"bound":"{bytes.fromhex(bundle["bound"]).hex()}"}}'.encode()
        need((raw[-140:], bundle["version"]) == (ending, 2), "it is no bundle of version 2 in its one form")
        need(known in {"", bundle["public_key"]}, "it names another key; ask for a new bundle if the key was changed")
        signed(bundle["public_key"], bundle["bound"], whole, "the bundle as a whole")
        signed(bundle["public_key"], bundle["signature"], bundle["receipt"].encode(), "the receipt")
        receipt = json.loads(bundle["receipt"])
        check_receipt(bundle, receipt, read_journal(bundle, receipt["job"]))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as reason:
        verdict = f"REFUSED: {type(reason).__name__}: {reason}"
    own = receipt["not_proved"] if verdict.startswith("OK") else []
    sys.stdout.write("\n".join([verdict, "Not proved:", *own, NOT_PROVED, ""]))
    return 0 if verdict.startswith("OK") else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if sys.argv[1:] else __doc__)
