"""Human sentences for the stable keys that the stages use; the only place where a key becomes language.

A key without a sentence here is shown as it is, so nothing is hidden when a stage learns a new one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from sunward.cli.text import N_, _

STATES = {
    "submitted": N_("submitted"),
    "placed": N_("placed"),
    "staging": N_("staging"),
    "running": N_("running"),
    "suspended": N_("suspended"),
    "finished": N_("finished"),
    "failed": N_("failed"),
    "cancelled": N_("cancelled"),
    "expired": N_("expired"),
    "refused": N_("refused"),
    "offered": N_("offered"),
    "accepted": N_("accepted"),
    "waking": N_("waking"),
    "suspending": N_("suspending"),
    "closed": N_("closed"),
    "off": N_("off"),
    "asleep": N_("asleep"),
    "idle": N_("idle"),
    "busy": N_("busy"),
    "draining": N_("draining"),
    "unreachable": N_("unreachable"),
}

QUALITIES = {
    "measured": N_("measured"),
    "estimated": N_("estimated"),
    "forecast": N_("forecast"),
    "published": N_("published"),
    "modelled": N_("modelled"),
}

CEILING_SOURCES = {
    "operator": N_("operator"),
    "provider": N_("provider"),
    "openadr": N_("OpenADR"),
}
PROMISE_STATES = {
    "offered": N_("for sale"),
    "sold": N_("sold"),
}
CALL_KINDS = {
    "call": N_("call"),
    "drill": N_("drill"),
}
CALL_OUTCOMES = {
    "ready": N_("ready in time"),
    "failed": N_("not ready in time"),
    "void": N_("ended before it was due"),
}
SHOCKS = {
    "now": N_("as it is"),
    "token": N_("ATH falls by 87 %"),
    "region": N_("a region goes dark"),
    "demand": N_("demand three times the largest so far"),
    "all": N_("all together"),
}
CHALLENGE_STATES = {
    "open": N_("not answered yet"),
    "committed": N_("committed to"),
    "passed": N_("passed"),
    "failed": N_("failed"),
    "unanswered": N_("unanswered"),
    "void": N_("void: the site was away or had work"),
}
SLEEPS = {
    "none": N_("always on"),
    "gpu_idle": N_("only its GPUs idle"),
    "suspend": N_("suspends to memory"),
    "off": N_("switches off"),
}

DIMENSIONS = {
    "identity": N_("identity"),
    "energy": N_("energy"),
    "overhead": N_("overhead"),
    "renewables": N_("renewables"),
    "place": N_("place"),
    "age": N_("age"),
}
LEVELS = {
    "declared": N_("declared"),
    "documented": N_("documented"),
    "metered": N_("metered"),
    "endorsed": N_("endorsed"),
    "attested": N_("attested"),
}
USES = {
    "counts": N_("counts"),
    "unchecked": N_("nobody else has checked it"),
    "later": N_("counts later"),
    "ended": N_("has ended"),
    "lowered": N_("a verdict came after it"),
}
VERDICT_STANDINGS = {
    "open": N_("in force, and may be appealed"),
    "appealed": N_("in force, and appealed"),
    "upheld": N_("upheld"),
    "dismissed": N_("dismissed: it counts as never issued"),
    "final": N_("final: nobody appealed in time"),
}
CONSEQUENCES = {
    "none": N_("on record, and no more"),
    "level_lowered": N_("evidence filed until then counts as declared"),
    "place_unproven": N_("the site counts as in the dirtiest zone that is not excluded"),
    "receipts_held": N_("receipts wait for its end"),
    "slashable": N_("evidence filed until then counts as declared; once final, stake may be taken"),
}

SERIES = {
    "carbon_average_lifecycle": N_("carbon intensity, average, life-cycle, gCO2e/kWh"),
    "carbon_average_direct": N_("carbon intensity, average, direct, gCO2e/kWh"),
    "carbon_marginal": N_("carbon intensity, marginal, gCO2e/kWh"),
    "price": N_("price, USD/kWh"),
    "wet_bulb": N_("wet-bulb temperature, °C"),
}

STANDINGS = {
    "observed": N_("observed"),
    "forecast": N_("forecast"),
    "typical year": N_("typical year"),
}

PLACED = {
    "now": N_("it starts at once: no later or other place is better"),
    "waiting": N_("waiting brings cleaner or cheaper power"),
    "moving": N_("moving brings cleaner or cheaper power"),
    "resizing": N_("another number of GPUs is cheaper or cleaner now"),
    "capping": N_("another power limit is cheaper or cleaner now"),
    "residency": N_("only the allowed countries are considered"),
    "only_site": N_("only one site can run it"),
    "kept": N_("the running plan is kept: no other is better by enough"),
    "deadline": N_("the deadline leaves no better choice"),
}

REFUSED = {
    "gpus": N_("no site has enough GPUs"),
    "memory": N_("no GPU here has enough memory"),
    "model": N_("no site has the GPU model asked for"),
    "country": N_("no site stands in an allowed country"),
    "latency": N_("no site is near enough to your zone"),
    "evidence": N_("no site has the evidence asked for"),
    "admission": N_("no site admits jobs of this tenant"),
    "reserve": N_("all that fits is promised to the reserve, and this job cannot pause for it"),
    "deadline": N_("it cannot finish by the deadline"),
    "horizon": N_("it is longer than plans reach ahead"),
    "budget": N_("the budget does not cover the cheapest place"),
    "capacity": N_("no fitting GPU is free for long enough before the deadline"),
    "start_by": N_("it cannot start as early as it must"),
}

JOB_REASONS = {
    **PLACED,
    "submitted": N_("received; it waits for a place"),
    "offered": N_("offered to the site"),
    "started": N_("it runs for the first time"),
    "resumed": N_("it goes on from its checkpoint"),
    "suspended": N_("it saved a checkpoint and stopped"),
    "withdrawn": N_("the offer was withdrawn before it started"),
    "draining": N_("the site drains; it goes on elsewhere"),
    "curtailed": N_("the site must draw less power; it goes on elsewhere or later"),
    "called": N_("its containers were promised to someone who needs them now; it goes on elsewhere or later"),
    "serving": N_("containers that you called are ready for it"),
    "closed": N_("the site closed for the hour; it goes on elsewhere or later"),
    "lost": N_("the site was lost; the attempt is fenced and another follows"),
    "finished": N_("all its work is done"),
    "failed": N_("the job's own command failed"),
    "timeout": N_("it used up its run time and was stopped"),
    "cancelled": N_("cancelled by you"),
}

EXPIRED = {
    "deadline": N_("its deadline passed before it could start"),
    "start_by": N_("the time by which it was to start passed"),
}

PLACED_AHEAD = frozenset({"placed", "suspended"})
"""States in which the assignment tells what comes next."""

NOT_PROVED = {
    "gpu_identity_declared": N_("that the GPU is the model the provider declares"),
    "gpu_identity_documented": N_("that the GPU is the model declared, beyond papers that were checked"),
    "gpu_identity_metered": N_("that the GPU is the model declared, beyond challenges that it answered"),
    "gpu_identity_endorsed": N_("that the GPU is the model declared, beyond the word of who saw it"),
    "place_declared": N_("that the site stands where the provider declares"),
    "place_documented": N_("that the site stands where declared, beyond papers that were checked"),
    "place_metered": N_("that the site stands where declared, beyond round-trip times"),
    "declared_zone": N_("the zone that a site declares: it counts in the dirtiest one that is not excluded"),
    "place_endorsed": N_("that the site stands where declared, beyond the word of who was there"),
    "device_age_declared": N_("how old the devices are"),
    "device_age_documented": N_("how old the devices are, beyond papers that were checked"),
    "device_age_metered": N_("how old the devices are, beyond what was measured"),
    "device_age_endorsed": N_("how old the devices are, beyond the word of who saw them"),
    "energy_estimated": N_("the energy itself: the sensors' figures are estimates"),
    "energy_modelled": N_("the energy itself: it is modelled, not measured"),
    "energy_forecast": N_("the energy itself: it is forecast, not measured"),
    "energy_published": N_("the energy itself: it is a published figure, not measured"),
    "overhead_estimated": N_("the site's overhead: it is estimated, not metered"),
    "overhead_modelled": N_("the site's overhead: it is modelled, not metered"),
    "overhead_forecast": N_("the site's overhead: it is forecast, not metered"),
    "overhead_published": N_("the site's overhead: it is a published figure, not metered"),
    "carbon_intensity_estimated": N_("the grid's carbon intensity: it is estimated, not measured"),
    "carbon_intensity_modelled": N_("the grid's carbon intensity: it is modelled, not measured"),
    "carbon_intensity_forecast": N_("the grid's carbon intensity: it is a forecast, not measured"),
    "carbon_intensity_published": N_("the grid's carbon intensity: it is published, not measured here"),
    "part_of_time_unmetered": N_("the energy of the time that no signed reading covers"),
    "no_certificates": N_("any claim to clean supply: no certificates were cancelled for it"),
    "part_without_certificates": N_("clean supply of all of it: certificates cover a part only"),
    "place_levels": N_("that the place of each site was shown as well as the receipt says: see `sunward audit`"),
    "certificates_elsewhere": N_("that no other account counts the same certificates: compare their ids"),
    "result_not_checked": N_("that the result is right: the work was not run again"),
    "readings_true": N_("that the meters told the truth"),
    "figures_of_catalogue": N_("the hardware catalogue's figures"),
    "market_factors": N_("the market-based factors"),
    "offset_share": N_("the offset share of the epoch"),
    "attempt_times": N_("the times at which attempts began and ended"),
    "counterfactual_energy": N_("the energy that the named counterfactuals would have used"),
    "no_other_seals": N_("that no other seal holds readings of this job"),
    "no_later_revision": N_("that no source revised its figures later"),
    "journal_between_records": N_("the journal between the records shown"),
    "control_plane_key": N_("whose key signed it: give --key to check against one you know"),
    "truth_of_events": N_("that what was recorded is true"),
    "fork_which": N_("which of the two is what happened"),
    "fork_key_kept": N_("that whoever signed was not a thief of the key"),
    "no_other_journal_shown": N_("that nobody was shown another journal"),
}

PROMISES = {
    "finish_by": N_("finish by"),
    "start_by": N_("start by"),
}

CERTIFICATE_STATES = {
    "active": N_("active"),
    "cancelled": N_("cancelled"),
    "exported": N_("exported"),
    "expired": N_("expired"),
    "withdrawn": N_("withdrawn"),
}

BASES = {
    "certificates": N_("certificates of the same hour and market cover it"),
    "certificates, residual missing": N_(
        "certificates of the same hour and market cover a part; the fossil factor stands in for the rest"
    ),
    "residual missing": N_("no residual mix is published for the zone; the fossil factor stands in"),
}

TERMS = {
    "energy": N_("energy"),
    "carbon": N_("carbon"),
    "water": N_("water"),
    "ask": N_("provider's ask"),
    "transfer": N_("transfer"),
    "wake": N_("waking"),
    "risk": N_("risk margin"),
    "shadow": N_("scarcity"),
}

FILTERS = (
    *("gpus", "memory", "model", "country", "latency", "evidence", "admission", "reserve"),
    *("deadline", "horizon", "budget", "capacity"),
)
"""The hard constraints, in the order they are checked."""

FILTER_NAMES = {
    "gpus": N_("GPUs"),
    "memory": N_("GPU memory"),
    "model": N_("GPU model"),
    "country": N_("country"),
    "latency": N_("latency"),
    "evidence": N_("evidence"),
    "admission": N_("admission"),
    "reserve": N_("promises of the reserve"),
    "deadline": N_("deadline"),
    "horizon": N_("length of the plan"),
    "budget": N_("budget"),
    "capacity": N_("free capacity"),
    "wake": N_("awake in time"),
    "start_by": N_("start by"),
    "ceiling": N_("power ceilings"),
}

CHOICES = {
    "planned": N_("as planned"),
    "best": N_("best now"),
    "now": N_("start now"),
}

COUNTERFACTUALS = {
    "run-now-origin/1": N_("run now at the tenant's origin"),
    "run-now-mean-site/1": N_("run now at a capacity-weighted mean site"),
    "run-now-origin/2": N_("run now at the tenant's origin"),
    "run-now-mean-site/2": N_("run now at a capacity-weighted mean site"),
}

ERRORS = {
    "SW-100": N_("the request is not acceptable"),
    "SW-101": N_("the data cannot be read"),
    "SW-102": N_("the journal holds an event this version does not know"),
    "SW-104": N_("it does not exist, or not for you"),
    "SW-109": N_("it contradicts the present state"),
    "SW-160": N_("the enrolment token cannot be used"),
    "SW-161": N_("the site cannot be enrolled as described"),
    "SW-166": N_("the control plane cannot start in this home"),
    "SW-200": N_("an outside source failed"),
    "SW-210": N_("the database failed"),
    "SW-220": N_("live feeds need the real hour"),
    "SW-221": N_("the settings of live feeds cannot be used"),
    "SW-222": N_("a feed's key cannot be used"),
    "SW-223": N_("a source refuses the key"),
    "SW-224": N_("a source does not know what is asked for"),
    "SW-225": N_("a source was asked too often"),
    "SW-226": N_("a source cannot be used now"),
    "SW-227": N_("a source's answer is not understood"),
    "SW-228": N_("the archive cannot take these hours"),
    "SW-229": N_("a source lacks an hour"),
    "SW-230": N_("no time to fetch"),
    "SW-510": N_("the agent's settings cannot be read"),
}
"""By code: what a message from below the command line is about; a code that is not here counts as its class's.

Shown before a message of unknown form where the user does not read English; messages of the command line itself
(SW-6xx) are whole in every language.
"""

REMEDIES = {
    "SW-401": N_("`sunward login` keeps a token; the operator of the service gives it to you"),
    "SW-640": N_("`sunward login --url …` names yours; `sunward up` starts one here"),
    "SW-641": N_("try again in a moment; if it stays, look at the service's log"),
    "SW-643": N_("get the certificate to believe from the operator, and name it with --ca or SUNWARD_CA"),
    "SW-642": N_("use the same version of sunward on both sides"),
}


FROM_BELOW = (
    N_("largest site has {most}"),
    N_("largest pool of one GPU model has {most}"),
    N_("most memory is {most} GiB, {wanted} GiB wanted"),
    N_("fitting pools have {there}; wanted {wanted}"),
    N_("fitting pools are in {there}; allowed {allowed}"),
    N_(
        "nearest fitting pool is {trip} ms away in {zone} (modelled, error {error} ms), "
        "at most {most} ms from {origin} wanted"
    ),
    N_("how far the fitting pools are is not known, at most {most} ms from {origin} wanted"),
    N_("best evidence of {dimension} at fitting pools is {best}; wanted {level}"),
    N_("no fitting pool has all the evidence wanted: {wanted}"),
    N_("none of {count} fitting sites admits this tenant"),
    N_("fastest fitting pool needs {needed} h, deadline is in {left} h"),
    N_("fastest fitting pool needs {needed} h, plans reach {reach} h"),
    N_("least price is {least} USD, budget is {budget} USD"),
    N_("needs {needed} W at least, ceilings leave {left} W at most"),
    N_("no free stretch is long enough before the deadline on {count} fitting pools"),
    N_("the best start left is in {first} h, it must start within {within} h"),
    N_("start-by passed {late} h ago"),
    N_("no site has joined yet"),
    N_("unknown grid zone '{name}'; did you mean {near}?"),
    N_("unknown grid zone '{name}'; {count} are known, such as {some}"),
    N_("unknown GPU '{name}'; did you mean {near}?"),
    N_("unknown GPU '{name}'; {count} are known, such as {some}"),
    N_("there is no open job {job}"),
    N_("no job {job}"),
    N_("job {job} has ended already: {state}"),
    N_("job {job} has ended already"),
    N_("job {job} has left no results so far"),
    N_("job {job} is {state}; a receipt follows its end"),
    N_("no final receipt of job {job}; it is issued when the epoch closes"),
    N_("the escrow needs {needed} wei and the account holds {held}; deposit more with `sunward account deposit`"),
    N_(
        "the budget of {limit} USD a month leaves {left} USD in {month} and this job may cost {needed} USD; "
        "raise it with `sunward account budget`, or wait for the next month"
    ),
    N_("{month} is no month; write one like 2026-11"),
    N_("gpus, units, length and escrow must be at least 1"),
    N_("a pausable job must say how many units of work it has (--units)"),
    N_("the deadline has passed; name a later one"),
    N_("site {site} is not enrolled"),
    N_("site {site} has left; join again with a new token"),
    N_("site {site} still holds {leases}; drain it and wait for them"),
    N_("readings of {leases} at site {site} are not all sealed; let its agent deliver them first"),
    N_(
        "the provider can read this job's code and data; "
        "the figures are what is expected, and what is metered is paid, at most the escrow"
    ),
    N_("no site has joined yet, so nothing can be priced; let one join (`sunward join --help`), or name a budget"),
    N_("unknown cooling '{name}'; use one of {known}"),
    N_("unknown policy {policy}; use {names} or whole USD per tonne"),
    N_("no grid zone known in country '{name}'; {count} are known, such as {some}"),
    N_("no grid zone known in country '{name}'; did you mean {near}?"),
    N_("the enrolment token is unknown, spent or expired; ask the operator for a new one"),
    N_("site {site} or its key is enrolled already with another key or name; choose a new name and key"),
    N_("another agent runs in {home}; end it, or name another folder"),
    N_("the control plane cannot be reached: {reason}"),
    N_("send a valid token as `Authorization: Bearer …`; this one is missing, unknown or expired"),
    N_("this needs a token of role {need}"),
)
"""Sentences that the stages and the service write in English, with their figures in place."""


def translated(text: str) -> str:
    """A sentence from below in the chosen language; as it is where its form is not known here."""
    for template in FROM_BELOW:
        found = _form(template).fullmatch(text)
        if found:
            parts = found.groupdict()
            return _(template).format(
                **{name: word(STATES, part) if name == "state" else part for name, part in parts.items()}
            )
    return text


@cache
def _form(template: str) -> re.Pattern[str]:
    """The texts that a template can become."""
    parts = re.split(r"\{(\w+)\}", template)
    names = iter(range(len(parts)))
    return re.compile("".join(f"(?P<{part}>.+?)" if next(names) % 2 else re.escape(part) for part in parts))


def word(table: Mapping[str, str], key: str) -> str:
    """What a key means in the chosen language, or the key itself."""
    return _(table[key]) if key in table else key


def sentence(table: Mapping[str, str], key: str, detail: str = "") -> str:
    """A key's sentence with the figures that make it checkable."""
    text = word(table, key)
    return f"{text} ({translated(detail)})" if detail else text
