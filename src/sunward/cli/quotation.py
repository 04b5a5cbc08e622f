"""A quote as people read it."""

from __future__ import annotations

from sunward.cli import show
from sunward.cli.reasons import PLACED, REFUSED, sentence, translated, word
from sunward.cli.text import _
from sunward.model.plan import Assignment, Unplaced
from sunward.model.request import JobRequest, Quote, WaitingOption
from sunward.units import SECOND_MS


def show_quote(request: JobRequest, quote: Quote, jobs: int) -> None:
    """What so many jobs like this one would cost and cause, and what waiting longer would save."""
    if quote.assignment is None:
        _show_refusal(quote.unplaced)
        _show_waiting(request, quote, jobs)
        return
    show.pairs(
        [
            (_("cost"), _cost(quote.price_usd_micro, jobs)),
            *_length(quote, jobs),
            (_("carbon"), show.carbon(quote.assignment.carbon_mg * jobs)),
            (_("where"), ", ".join(dict.fromkeys(segment.pool for segment in quote.assignment.segments))),
            *_gpus(request, quote.assignment),
            (_("start"), show.stamp(quote.start_ms)),
            (_("finish"), show.stamp(quote.finish_ms)),
            (_("why"), word(PLACED, quote.assignment.reason)),
            (_("against now"), against_now(quote.assignment)),
            (_("compared with"), _("running now in {zone}, on the receipt").format(zone=request.origin_zone)),
            (
                _("set aside"),
                _("{amount}; what is not used comes back").format(amount=show.ath(quote.escrow_wei * jobs)),
            ),
            (_("notice"), show.Cell(translated(quote.notice), "yellow")),
            *([(_("budget"), show.Cell(translated(quote.over_budget), "red"))] if quote.over_budget else []),
        ]
    )
    _show_waiting(request, quote, jobs)


def _length(quote: Quote, jobs: int) -> list[tuple[str, str]]:
    """What is expected of a job whose length is not known, and what is promised."""
    told = quote.outlook
    if told is None:
        return []
    rows = [
        (
            _("length"),
            _("about {mean} on the reference GPU, up to {upper} in 95 of 100 jobs ({count} like it are known)").format(
                mean=show.span(told.expected_s * SECOND_MS),
                upper=show.span(told.upper_s * SECOND_MS),
                count=told.like_jobs,
            ),
        ),
        (_("cost, 95 of 100"), _("at most {price}").format(price=show.usd(told.upper_usd_micro * jobs))),
        (
            _("promise"),
            _("finished by {time} with a probability of at least {probability}").format(
                time=show.stamp(told.finish_by_ms), probability=show.probability(told.promise_ppm)
            ),
        ),
    ]
    if told.timeout_s:
        limit = _("stopped after {time} of run time").format(time=show.span(told.timeout_s * SECOND_MS))
        rows.append((_("limit"), limit))
    return rows


def _gpus(request: JobRequest, assignment: Assignment) -> list[tuple[str, str]]:
    """How many GPUs an elastic job would have, and under which power limits, stretch by stretch."""
    if request.gpus_max <= request.gpus and not any(segment.power_cap_w for segment in assignment.segments):
        return []
    return [(_("GPUs"), show.stretches(show.gpus(segment) for segment in assignment.segments))]


def _cost(price_usd_micro: int, jobs: int) -> str:
    if jobs == 1:
        return show.usd(price_usd_micro)
    text = _("{total}: {count} jobs at {price} each, if each finds the place of the first")
    return text.format(total=show.usd(price_usd_micro * jobs), count=jobs, price=show.usd(price_usd_micro))


def _show_refusal(unplaced: Unplaced | None) -> None:
    reason = sentence(REFUSED, unplaced.reason, unplaced.detail) if unplaced else ""
    lasting = unplaced is None or unplaced.permanent
    text = _("would be refused: {reason}") if lasting else _("no place for it now, try again later: {reason}")
    show.line(text.format(reason=reason), "red" if lasting else "yellow")


def _show_waiting(request: JobRequest, quote: Quote, jobs: int) -> None:
    """The curve of later deadlines; the first row is what was asked."""
    if not quote.waiting:
        return
    curve = list(quote.waiting)
    if quote.assignment is not None and request.deadline_s:
        asked = WaitingOption(
            finish_by_s=request.deadline_s,
            price_usd_micro=quote.price_usd_micro,
            carbon_mg=quote.assignment.carbon_mg,
            start_ms=quote.start_ms,
        )
        curve.insert(0, asked)
    show.line()
    show.line(_("with a later deadline:") if quote.assignment is not None else _("a later deadline would do:"))
    columns = (_("FINISH WITHIN"), _("COST"), _("CARBON"), _("START"))
    show.table(columns, (_row(option, jobs) for option in curve))


def _row(option: WaitingOption, jobs: int) -> show.Row:
    return (
        show.span(option.finish_by_s * SECOND_MS),
        show.usd(option.price_usd_micro * jobs),
        show.carbon(option.carbon_mg * jobs),
        show.stamp(option.start_ms),
    )


def against_now(assignment: Assignment) -> str:
    """The saving of an assignment, naming what it is compared with."""
    if show.percent(assignment.saves_ppm) == show.percent(0):
        return _("the same carbon as starting now on the best pool free")
    if assignment.saves_ppm > 0:
        text = _("{percent} less carbon than starting now on the best pool free")
    else:
        text = _("{percent} more carbon than starting now on the best pool free")
    return text.format(percent=show.percent(assignment.saves_ppm))
