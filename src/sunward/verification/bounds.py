"""Physical bounds on what a site's readings say, by a second author: nothing here comes from metering.

Each bound is one-sided and holds for every honest site whatever it does: what lies beyond it, by more than the
stated uncertainty allows, did not happen. docs/bounds.md derives them; `data/bounds.csv` holds their coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sunward.model.datum import Quality
from sunward.model.hardware import PowerState
from sunward.model.reading import ReadingBatch, Span
from sunward.model.site import SiteSpec
from sunward.verification.coefficients import value
from sunward.verification.exact import MILLION, MS_IN_SECOND
from sunward.verification.tolerance import spread
from sunward.verification.verdict import Finding
from sunward.world import catalogue
from sunward.world.catalogue import GpuModel

HOST, METER = "host", "meter"
AWAKE = frozenset({PowerState.WAKING, PowerState.IDLE, PowerState.BUSY, PowerState.DRAINING})
SERIES_OF_DESKTOPS = "RTX"
LOW_TESTED_MS = 180_000
"""Shorter windows are not tested from below: a driver that is loaded anew loses what it counted for a minute."""
ZERO_C_K = 273.15
FIGURE_MAX = 2**53
"""Larger figures are told as this: a record holds no larger ones."""

ENERGY_HIGH = "device {device} of {site} counted {found_j} J in {seconds} s; a {gpu} cannot draw more than {limit_j} J"
IDLE_LOW = "device {device} of {site} was awake for {seconds} s and counted {found_j} J; a {gpu} needs {limit_j} J"
HOST_LOW = "the host of {site} ran awake GPUs for {seconds} s and counted {found_j} J; {limit_j} J is the least"
SITE_HIGH = "{site} counted {found_j} J in {seconds} s; its connection of {ceiling_w} W gives {limit_j} J at most"
OVERHEAD_LOW = "the meter of {site} counted {found_j} J for {it_j} J of equipment; its cooling makes it {limit_j} J"
DECLARED_LOW = "{site} declares an overhead of {found_ppm} ppm; cooling of kind {cooling} needs {limit_ppm} ppm"


@dataclass(slots=True)
class _Counted:
    """What one counter told in the window."""

    joules: int = 0
    ms: int = 0
    awake_j: int = 0
    awake_ms: int = 0
    spans: int = 0
    edges: int = 1
    """Moments at which energy may be told on the wrong side: the two ends of the window count as one awake change."""
    last_awake: bool = False

    def add(self, span: Span) -> None:
        counted, lasted, awake = span.end_j - span.start_j, span.t1_ms - span.t0_ms, span.state in AWAKE
        self.joules += counted
        self.ms += lasted
        self.spans += 1
        self.edges += awake != self.last_awake
        self.last_awake = awake
        if awake:
            self.awake_j += counted
            self.awake_ms += lasted


@dataclass(slots=True)
class Window:
    """The batches of one site that one seal took in, summed by counter."""

    spec: SiteSpec
    models: dict[str, GpuModel]
    """GPU model of each declared device."""
    ms: int = 0
    uncertainty_ppm: int = 0
    metered: bool = True
    """A meter of the site covers every batch."""
    counted: dict[str, _Counted] = field(default_factory=dict)

    @property
    def spread(self) -> float:
        """Tolerance as a share."""
        return spread(self.uncertainty_ppm, len(self.models))


def window_of(spec: SiteSpec, batches: Sequence[ReadingBatch]) -> Window:
    """Sum the batches of one site."""
    known = catalogue.load()
    models = {device: known.gpu(pool.gpu_model) for pool in spec.pools for device in pool.devices}
    window = Window(spec, models)
    for batch in batches:
        window.ms += batch.t1_ms - batch.t0_ms
        window.uncertainty_ppm = max(window.uncertainty_ppm, batch.uncertainty_ppm)
        covered_ms = 0
        for span in batch.spans:
            window.counted.setdefault(span.device, _Counted()).add(span)
            covered_ms += span.t1_ms - span.t0_ms if span.device == METER else 0
        window.metered = window.metered and covered_ms >= batch.t1_ms - batch.t0_ms
    return window


def reading_findings(spec: SiteSpec, batches: Sequence[ReadingBatch]) -> tuple[Finding, ...]:
    """What in the batches of one site cannot have happened."""
    if not batches:
        return ()
    window = window_of(spec, batches)
    return (*_devices(window), *_host(window), *_site(window), *_overhead(window))


def _devices(window: Window) -> Iterator[Finding]:
    tolerance = window.spread
    for device, gpu in window.models.items():
        told = window.counted.get(device)
        if told is None:
            continue
        most_w = gpu.power_w_max * value("board_margin", gpu.model, kind_of(gpu))
        most_j = most_w * (_s(told.ms) * (1.0 + tolerance) + _edges_s(told)) + value("span_j") * told.spans
        if told.joules > most_j:
            yield _of_device("energy_high", ENERGY_HIGH, window, device, gpu, told.joules, told.ms, most_j)
        rest_w = gpu.power_w_idle * value("idle_frac", gpu.model, gpu.idle.quality)
        least_j = rest_w * (_s(told.awake_ms) * (1.0 - tolerance) - _edges_s(told)) - value("span_j") * told.spans
        if told.awake_ms >= LOW_TESTED_MS and told.awake_j < least_j:
            yield _of_device("idle_low", IDLE_LOW, window, device, gpu, told.awake_j, told.awake_ms, least_j)


def _host(window: Window) -> Iterator[Finding]:
    """Awake GPUs have a host that draws something; one without a counter is not free of charge."""
    host = window.counted.get(HOST, _Counted())
    at_rest_j, awake_ms, edges_j = 0.0, 0, 0.0
    for device, gpu in window.models.items():
        told = window.counted.get(device, _Counted())
        share_w = gpu.host_w_idle * value("host_frac")
        at_rest_j += share_w * _s(told.awake_ms)
        edges_j += share_w * _edges_s(told)
        awake_ms = max(awake_ms, told.awake_ms)
    least_j = at_rest_j * (1.0 - window.spread) - edges_j - value("span_j") * max(1, host.spans)
    if awake_ms >= LOW_TESTED_MS and host.joules < least_j:
        yield _of_site("host_low", HOST_LOW, window, host.joules, awake_ms, least_j)


def _site(window: Window) -> Iterator[Finding]:
    """No site draws more than its connection carries."""
    ceiling_w = window.spec.power_ceiling_w
    if not ceiling_w:
        return
    found_j = _meter_j(window) if window.metered else _it_j(window) * window.spec.overhead_ppm / MILLION
    most_w = ceiling_w * (1.0 + value("overload_frac"))
    edge_s = value("edge_ms") / MS_IN_SECOND
    most_j = most_w * (_s(window.ms) * (1.0 + window.spread) + edge_s) + value("span_j") * _spans(window)
    if found_j > most_j:
        yield _of_site("site_high", SITE_HIGH, window, found_j, window.ms, most_j, ceiling_w=ceiling_w)


def _overhead(window: Window) -> Iterator[Finding]:
    """A meter in front of the equipment counts what the equipment does, and what its cooling needs at the least."""
    if not window.metered or METER not in window.counted:
        return
    it_j, found_j, tolerance = _it_j(window), _meter_j(window), window.spread
    least = overhead_least(window.spec.cooling)
    edge_j = it_j * value("edge_ms") / max(1, window.ms)
    least_j = (least * it_j * (1.0 - tolerance) - edge_j) / (1.0 + tolerance) - value("span_j") * _spans(window)
    if found_j < least_j:
        yield _of_site("overhead_low", OVERHEAD_LOW, window, found_j, window.ms, least_j, it_j=min(it_j, FIGURE_MAX))


def overhead_least(cooling: str, wet_bulb_c: float | None = None) -> float:
    """The least facility energy over IT energy: the best published, and the work of lifting heat in a hot hour.

    No plant lifts heat from the warmest supply that equipment is made for to a hotter outside with less than Carnot's
    work. Without a wet bulb nothing is added for the climate.
    """
    cooling = catalogue.load().cooling(cooling).cooling
    least = value("overhead_least", cooling)
    if wet_bulb_c is None or cooling == "room":
        return least
    supply_c = value("supply_c", cooling)
    return least + max(0.0, wet_bulb_c - supply_c) / (supply_c + ZERO_C_K)


def declared_findings(spec: SiteSpec, wet_bulb_c: float | None = None) -> tuple[Finding, ...]:
    """What in a declaration cannot be: an overhead below what its kind of cooling can do."""
    least_ppm = int(overhead_least(spec.cooling, wet_bulb_c) * MILLION)
    if spec.overhead_ppm >= least_ppm:
        return ()
    figures: dict[str, str | int] = {
        "site": spec.site,
        "cooling": spec.cooling,
        "found_ppm": spec.overhead_ppm,
        "limit_ppm": least_ppm,
    }
    return (Finding(key="overhead_declared_low", sentence=DECLARED_LOW, figures=figures),)


def kind_of(gpu: GpuModel) -> str:
    """The scope of coefficients that hold for its kind of board."""
    return "desktop" if gpu.model.startswith(SERIES_OF_DESKTOPS) else Quality.PUBLISHED


def _s(ms: int) -> float:
    return ms / MS_IN_SECOND


def _edges_s(told: _Counted) -> float:
    return told.edges * value("edge_ms") / MS_IN_SECOND


def _it_j(window: Window) -> int:
    return sum(told.joules for name, told in window.counted.items() if name != METER)


def _meter_j(window: Window) -> int:
    return window.counted[METER].joules if METER in window.counted else 0


def _spans(window: Window) -> int:
    return sum(told.spans for told in window.counted.values())


def _of_device(
    key: str, sentence: str, window: Window, device: str, gpu: GpuModel, found_j: int, ms: int, limit_j: float
) -> Finding:
    figures: dict[str, str | int] = {"device": device, "gpu": gpu.model}
    return Finding(key=key, sentence=sentence, figures=figures | _figures(window, found_j, ms, limit_j))


def _of_site(
    key: str, sentence: str, window: Window, found_j: float, ms: int, limit_j: float, **more: str | int
) -> Finding:
    return Finding(key=key, sentence=sentence, figures=_figures(window, found_j, ms, limit_j) | more)


def _figures(window: Window, found_j: float, ms: int, limit_j: float) -> dict[str, str | int]:
    return {
        "site": window.spec.site,
        "found_j": min(round(found_j), FIGURE_MAX),
        "seconds": ms // MS_IN_SECOND,
        "limit_j": min(round(limit_j), FIGURE_MAX),
    }
