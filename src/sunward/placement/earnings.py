"""What a GPU could earn where it stands, before anybody joins: typical year, catalogue, and demand as stated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward.model.events import OFFSET_START_BPS, PROVIDER_SHARE_BPS
from sunward.model.hardware import WorkClass
from sunward.signals import climatology
from sunward.units import BPS, G_PER_KG, KG_PER_T, MG_PER_KG, MICRO, W_PER_KW
from sunward.world.catalogue import GpuModel
from sunward.world.power import device_power_w, host_power_w, relative_rate

DEMANDS = (0.1, 0.3, 0.6)
"""Share of the network's GPUs that work at once: a quiet, a middling and a busy network. Assumed, not forecast."""
HOURS_PER_MONTH = 730.5
"""A twelfth of the mean year."""
MEAN = 3
"""Row of a typical year that holds means: months by hours of the day."""
ASK_USD_PER_REFERENCE_H = 0.9
"""Ask of an A100-SXM-80GB hour where none is named, modelled after the demonstration; others by their rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One month at one level of demand, for one GPU."""

    demand_frac: float
    leased_h: float
    earned_usd: float
    power_usd: float

    @property
    def net_usd(self) -> float:
        """What is left of the earnings after the power."""
        return self.earned_usd - self.power_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The range, and what it comes from."""

    gpu: str
    zone: str
    ask_usd_per_gpu_h: float
    break_even_usd_per_gpu_h: float
    """The ask that pays for the power of a leased hour and nothing else."""
    busy_w: float
    """At the meter, with the host's share and the overhead."""
    asleep_w: float
    price_mean_usd_per_kwh: float
    own_price: bool
    """Whether that price was given, rather than the zone's wholesale price."""
    carbon_mean_g_per_kwh: float
    rank_frac: float
    """Share of the zones in which the same hour costs less on average, power and carbon together."""
    carbon_usd_per_t: float
    cases: tuple[Case, ...]


def suggested_ask(gpu: GpuModel) -> float:
    """USD per hour of a GPU, by its rate in generic work against the reference; modelled."""
    return ASK_USD_PER_REFERENCE_H * relative_rate(gpu, WorkClass.GENERIC)


def estimate(
    gpu: GpuModel,
    zone: str,
    *,
    ask_usd_per_gpu_h: float,
    overhead: float = 1.0,
    price_usd_per_kwh: float | None = None,
    carbon_usd_per_t: float = 100.0,
) -> Estimate:
    """Earnings less power of one GPU in the mean month of the typical year, over the levels of demand in `DEMANDS`.

    Every zone is taken to hold the same GPU at the same ask, so a GPU is leased in the hours in which its zone is among
    the cheapest that demand needs, power and carbon together; it sleeps in the others.
    Raises: InputError for an unknown zone.
    """
    busy_kw = (device_power_w(gpu, WorkClass.GENERIC, 1.0) + host_power_w(gpu, 1.0)) * overhead / W_PER_KW
    asleep_kw = gpu.host_w_asleep * overhead / W_PER_KW
    known = climatology.load()
    row = known.row(zone)
    hours = (len(known.zones), -1)
    price = known.price[MEAN].reshape(hours) / MICRO
    carbon = known.carbon[MEAN].reshape(hours) / MG_PER_KG
    cost = price + carbon * carbon_usd_per_t / KG_PER_T
    cheaper = (cost < cost[row]).mean(axis=0)
    paid = price[row] if price_usd_per_kwh is None else np.full(price.shape[1], price_usd_per_kwh)
    share = (BPS - OFFSET_START_BPS) / BPS * PROVIDER_SHARE_BPS / BPS
    cases = []
    for demand in DEMANDS:
        leased = cheaper < demand
        power = np.where(leased, busy_kw, asleep_kw) * paid
        leased_h = HOURS_PER_MONTH * float(leased.mean())
        cases.append(
            Case(
                demand_frac=demand,
                leased_h=leased_h,
                earned_usd=leased_h * ask_usd_per_gpu_h * share,
                power_usd=HOURS_PER_MONTH * float(power.mean()),
            )
        )
    return Estimate(
        gpu=gpu.model,
        zone=known.zone(zone).zone,
        ask_usd_per_gpu_h=ask_usd_per_gpu_h,
        break_even_usd_per_gpu_h=float(paid.mean()) * busy_kw / share,
        busy_w=busy_kw * W_PER_KW,
        asleep_w=asleep_kw * W_PER_KW,
        price_mean_usd_per_kwh=float(paid.mean()),
        own_price=price_usd_per_kwh is not None,
        carbon_mean_g_per_kwh=float(carbon[row].mean()) * G_PER_KG,
        rank_frac=float((cost.mean(axis=1) < cost[row].mean()).mean()),
        carbon_usd_per_t=carbon_usd_per_t,
        cases=tuple(cases),
    )
