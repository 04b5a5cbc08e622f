from dataclasses import replace

import pytest

from sunward.errors import InputError
from sunward.model.hardware import Admission
from sunward.service.enrol import check_spec
from tests.api.harness import site_spec

GOOD = site_spec()
POOL = GOOD.pools[0]


def test_a_plain_declaration_passes() -> None:
    check_spec(GOOD)
    check_spec(replace(GOOD, admission=Admission.KNOWN, overhead_ppm=1_000_000, water_ml_per_kwh=1_800))


@pytest.mark.parametrize(
    "changes",
    [
        {"site": ""},
        {"site": "a.b"},
        {"site": "a" * 64},
        {"site": "é"},
        {"public_key": "A" * 64},
        {"public_key": "0" * 63},
        {"country": "SE"},
        {"overhead_ppm": 999_999},
        {"overhead_ppm": 10**8},
        {"power_ceiling_w": -1},
        {"water_ml_per_kwh": 10**12},
        {"pools": (POOL, POOL)},
        {"pools": (replace(POOL, devices=("gpu0", "gpu0")),)},
        {"pools": (replace(POOL, devices=("host", "gpu1")),)},
        {"pools": (replace(POOL, devices=("", "gpu1")),)},
        {"pools": (replace(POOL, devices=("a\nb", "gpu1")),)},
        {"pools": (replace(POOL, devices=tuple(f"g{index}" for index in range(20_001))),)},
    ],
)
def test_a_declaration_that_cannot_be_held_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        check_spec(replace(GOOD, **changes))
    assert refused.value.code == "SW-161"
    assert "\n" not in refused.value.message
