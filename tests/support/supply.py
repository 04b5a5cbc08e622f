"""Certificates in a small network: a metered roof at the Spanish site, and wind that was bought elsewhere."""

from __future__ import annotations

from sunward.model.events import (
    EvidenceFiled,
    TimerFired,
)
from sunward.model.granular import CertificateBundle, GenerationDevice
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesImported,
    CertificatesIssued,
    GenerationDeclared,
)
from sunward.model.identity import SiteId, TenantId
from sunward.model.trust import Dimension, Evidence, Level
from sunward.units import DAY_MS, HOUR_MS
from tests.support.network import Network
from tests.support.scenarios import SITES, START_MS

SITE, OWNER = SiteId("es-solar"), SITES[1].owner
ROOF = GenerationDevice(
    device="roof",
    site=SITE,
    owner=OWNER,
    source="solar",
    nameplate_w=5_000,
    latitude_micro=40_400_000,
    longitude_micro=-3_700_000,
)


def metered(level: Level = Level.METERED) -> EvidenceFiled:
    """Evidence that the roof's generation is what its meter says."""
    return EvidenceFiled(
        evidence=Evidence(
            evidence="e-sun",
            site=SITE,
            dimension=Dimension.RENEWABLES,
            level=level,
            statement="meter of the panels",
            filed_by=OWNER,
            checked_by="a-eve",
            valid_until_ms=START_MS + 900 * DAY_MS,
        )
    )


def with_roof(**changes) -> Network:
    """A network whose Spanish site has panels that may be believed, two hours on."""
    network = Network(**changes)
    network.tell(metered(), GenerationDeclared(device=ROOF))
    network.wait(2)
    network.tell(TimerFired())
    return network


def issued(network: Network, *wh: int, first_hour: int = 0, exported: tuple[int, ...] = (), **changes):
    """Hours of the roof from the scenario's first one on."""
    hours = range(first_hour, first_hour + len(wh))
    told = {
        "device": "roof",
        "owner": OWNER,
        "source": "solar",
        "market": "ES",
        "mg_per_kwh": 48_000,
        "first": network.state.certificates.next_id,
        "start_ms": tuple(START_MS + hour * HOUR_MS for hour in hours),
        "wh": wh,
        "exported_wh": exported or (0,) * len(wh),
        "evidence": "e" * 64,
    }
    return CertificatesIssued(**{**told, **changes})


def wind(network: Network, wh: int = 1_000_000, *, serial: int = 17, **changes):
    """A MWh of wind in the first hour, cancelled in another registry."""
    told = {
        "registry": "go",
        "owner": TenantId("t-alpha"),
        "first": network.state.certificates.next_id,
        "device": ("go:Windpark 1",),
        "source": ("wind",),
        "market": ("ES",),
        "mg_per_kwh": (11_000,),
        "start_ms": (START_MS,),
        "end_ms": (START_MS + HOUR_MS,),
        "wh": (wh,),
        "serials": ("64300",),
        "serial_first": (serial,),
        "serial_last": (serial,),
        "evidence": "f" * 64,
    }
    return CertificatesImported(**{**told, **changes})


def bundles(network: Network) -> list[CertificateBundle]:
    """All that are known, in order of ids."""
    return sorted(network.state.certificates.bundles.values(), key=lambda one: one.first)


def cancel(network: Network, number: int, wh: int, beneficiary: str) -> CertificatesCancelled:
    """The front of a bundle, by its place, for somebody."""
    one = bundles(network)[number]
    return CertificatesCancelled(
        owner=one.owner,
        beneficiary=beneficiary,
        bundle=(one.bundle,),
        first=(one.first,),
        last=(one.first + wh - 1,),
    )
