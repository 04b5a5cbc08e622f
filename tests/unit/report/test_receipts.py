from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.errors import InvariantError
from sunward.model.codec import decode, encode
from sunward.model.datum import Quality
from sunward.model.granular import Claim
from sunward.model.job import JobState
from sunward.model.receipt import Receipt
from sunward.model.trust import Level
from sunward.report.receipts import Evidence, Paid, build_receipt, metered_ppm, worst
from sunward.report.sci import sci_mg_per_unit
from tests.unit.report.samples import HOUR_MS, SPEC, line, parts


def test_totals_are_sums_of_the_lines() -> None:
    receipt = build_receipt(parts())
    assert (receipt.gpu_j, receipt.host_j, receipt.overhead_j) == (2_400_000, 1_200_000, 720_000)
    assert receipt.facility_j == 4_320_000
    assert (receipt.location_mg, receipt.market_mg) == (162_500, 720_000)
    assert (receipt.embodied_mg, receipt.water_ml, receipt.gpu_ms) == (20_000, 1_800, 2 * HOUR_MS)
    assert (receipt.price_wei, receipt.refund_wei) == (2_000, 100)
    assert (receipt.state, receipt.epoch, receipt.seals, receipt.version) == ("finished", 1, (4, 9), 1)
    assert receipt.market_basis == "residual missing"
    assert decode(encode(receipt), Receipt) == receipt


def test_sci_by_hand() -> None:
    # (162,500 + 20,000) mg over 1,000 steps = 182.5, halves up.
    assert build_receipt(parts()).sci_mg_per_unit == 183
    assert sci_mg_per_unit(162_500, 20_000, 1_000, "step") == 183
    assert sci_mg_per_unit(0, 0, 1, "step") == 0


def test_sci_is_null_without_a_unit_or_without_work() -> None:
    assert build_receipt(parts(spec=replace(SPEC, functional_unit=""))).sci_mg_per_unit is None
    assert build_receipt(parts(units_done=0)).sci_mg_per_unit is None


def test_offsets_never_touch_the_sci_nor_emissions() -> None:
    more = replace(parts().paid, offset_wei=420, provider_wei=1_264, network_wei=316)
    one, other = build_receipt(parts()), build_receipt(parts(paid=more))
    assert one == replace(other, offset_wei=20, provider_wei=1_584, network_wei=396)


def test_what_is_not_proved_follows_from_the_qualities() -> None:
    assert build_receipt(parts()).not_proved == (
        "gpu_identity_declared",
        "place_declared",
        "device_age_declared",
        "energy_modelled",
        "overhead_estimated",
        "carbon_intensity_modelled",
        "no_certificates",
        "result_not_checked",
    )
    claim = Claim(first=1, last=600, source="wind", mg_per_kwh=11_000)
    proven = parts(
        lines=(line(carbon_quality=Quality.MEASURED, certificates=(claim,)),),
        leased_ms=2 * HOUR_MS,
        energy_qualities=(Quality.MEASURED,),
        overhead_qualities=(Quality.MEASURED,),
        evidence=Evidence(gpu_identity=Level.ATTESTED, place=Level.ENDORSED, device_age=Level.DOCUMENTED),
    )
    assert build_receipt(proven).not_proved == (
        "place_endorsed",
        "device_age_documented",
        "part_of_time_unmetered",
        "result_not_checked",
    )


def test_the_market_basis_names_what_certificates_leave() -> None:
    def covered(*last: int) -> str:
        claims = [(Claim(first=1, last=one, source="wind", mg_per_kwh=11_000),) if one else () for one in last]
        return build_receipt(parts(lines=tuple(line(certificates=one) for one in claims))).market_basis

    # A line used 600 Wh.
    assert covered(0, 0) == "residual missing"
    assert covered(600, 600) == "certificates"
    assert covered(600, 0) == covered(600, 599) == "certificates, residual missing"
    some = parts(lines=(line(certificates=(Claim(first=1, last=1, source="wind", mg_per_kwh=11_000),)),))
    assert "part_without_certificates" in build_receipt(some).not_proved


def test_the_weakest_quality_counts() -> None:
    assert worst((Quality.MEASURED, Quality.FORECAST, Quality.ESTIMATED)) is Quality.FORECAST
    assert worst(()) is Quality.MODELLED
    assert build_receipt(parts(energy_qualities=(Quality.MEASURED,))).energy_quality is Quality.MEASURED


def test_metered_share_rounds_down_and_never_exceeds_all() -> None:
    assert metered_ppm(1, 3) == 333_333
    assert metered_ppm(4, 3) == 1_000_000
    assert metered_ppm(0, 3) == 0
    assert metered_ppm(0, 0) == 1_000_000


def test_a_job_that_never_ran_has_an_empty_receipt() -> None:
    receipt = build_receipt(
        parts(state=JobState.CANCELLED, lines=(), units_done=0, leased_ms=0, paid=Paid(refund_wei=5), attempts=())
    )
    assert (receipt.facility_j, receipt.location_mg, receipt.price_wei, receipt.refund_wei) == (0, 0, 0, 5)
    assert receipt.state == "cancelled"


def test_shares_that_do_not_add_up_are_our_fault() -> None:
    with pytest.raises(InvariantError, match="do not add up"):
        build_receipt(parts(paid=Paid(price_wei=10, provider_wei=9)))
