import pytest

from sunward.errors import InputError
from sunward.model.hardware import WorkClass
from sunward.model.identity import JobId, TenantId, ZoneId
from sunward.model.job import JobSpec
from sunward.model.wire import JobContent
from sunward.service.submit import carbon_price, commitment, worst_price
from sunward.units import HOUR_MS
from tests.support.snapshots import Pool, snapshot

SPEC = JobSpec(
    job=JobId("j-1"),
    tenant=TenantId("t-1"),
    commitment="",
    origin_zone=ZoneId("DE"),
    work_class=WorkClass.GENERIC,
    gpus=2,
    gpu_memory_gib=40,
    length_ms=HOUR_MS,
    deadline_ms=10 * HOUR_MS,
    allowed_countries=("NO",),
)
FITTING = Pool(id="a/x", ask=1.0, rate=0.5)


@pytest.mark.parametrize(("policy", "usd"), [("cheapest", 0), ("balanced", 100), ("greenest", 5_000), ("42", 42)])
def test_a_policy_is_a_name_or_a_whole_price(policy: str, usd: int) -> None:
    assert carbon_price(policy) == usd


@pytest.mark.parametrize("policy", ["", "Greenest", "-1", "1.5", "1e3", "٣", "9" * 30])
def test_any_other_policy_is_refused(policy: str) -> None:
    with pytest.raises(InputError) as refused:
        carbon_price(policy)
    assert refused.value.code == "SW-152"


def test_the_worst_price_is_that_of_the_dearest_pool_that_could_run_it() -> None:
    dearer = Pool(id="b/x", ask=3.0, rate=1.0)
    assert worst_price(snapshot([FITTING]), SPEC) == 2 * 2 * 1_000_000
    assert worst_price(snapshot([FITTING, dearer]), SPEC) == 2 * 3_000_000


@pytest.mark.parametrize(
    "unfit",
    [
        Pool(id="b/x", ask=9.0, count=1),
        Pool(id="b/x", ask=9.0, memory_gib=24),
        Pool(id="b/x", ask=9.0, country="PL"),
        Pool(id="b/x", ask=9.0, rate=0.0),
    ],
)
def test_a_pool_that_can_never_run_it_does_not_count(unfit: Pool) -> None:
    assert worst_price(snapshot([FITTING, unfit]), SPEC) == worst_price(snapshot([FITTING]), SPEC)
    assert worst_price(snapshot([unfit]), SPEC) == 0


def test_without_a_site_there_is_no_price() -> None:
    assert worst_price(snapshot([]), SPEC) == 0


def test_a_commitment_depends_on_salt_and_content() -> None:
    content = JobContent(name="a", command=("x",))
    one = commitment(b"1" * 32, content)
    assert len(one) == 64
    assert one == commitment(b"1" * 32, JobContent(name="a", command=("x",), env={}))
    assert one != commitment(b"2" * 32, content)
    assert one != commitment(b"1" * 32, JobContent(name="b", command=("x",)))
