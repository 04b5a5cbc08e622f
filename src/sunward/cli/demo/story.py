"""The demo from curtain to curtain: start, ask, watch, curtail, kill, settle, prove."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from itertools import pairwise
from pathlib import Path

from sunward.adapters import sandbox
from sunward.cli import show
from sunward.cli.demo import grid_event, on_chain, proof
from sunward.cli.demo.grid_event import GridEvent
from sunward.cli.demo.page import report_data, where
from sunward.cli.demo.proof import Check
from sunward.cli.demo.scenario import FIRST_SUBMIT_MS, JOBS, KILLED, SITES, DemoJob
from sunward.cli.demo.stage import Stage
from sunward.cli.demo.watch import Watcher, clock
from sunward.cli.reasons import PLACED, QUALITIES, REFUSED, STATES, sentence, translated, word
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.client.pack import pack
from sunward.errors import InputError, SourceError
from sunward.model.receipt import Receipt
from sunward.model.request import JobRequest, JobView
from sunward.model.wire import ClockMapping
from sunward.report.html import render_report
from sunward.units import HOUR_MS, HOUR_S, PPM, SECOND_MS

POLL_S = 0.15
AWAY_S = 3.5
"""Machine time until the killed agent is started again: longer than the grace, so that it is given up first."""
PATIENCE_S = 150.0
"""Machine time after which the demo gives up waiting."""


@dataclass(slots=True)
class Story:
    """What the demo knows while it runs."""

    stage: Stage
    client: ApiClient
    watcher: Watcher
    mapping: ClockMapping
    jobs: dict[str, DemoJob] = field(default_factory=dict)
    kill_ms: int = 0
    killed_site: str = ""
    killed_lease: str = ""
    back_s: float = 0.0
    event: GridEvent | None = None
    checks: list[Check] = field(default_factory=list)

    @property
    def now_ms(self) -> int:
        """Grid time."""
        return self.mapping.grid(int(time.time() * SECOND_MS))

    def id_of(self, name: str) -> str:
        """The job with a name."""
        return next(job for job, asked in self.jobs.items() if asked.name == name)


PAGE = "report.html"


def play(folder: Path, speed: int, *, keep: bool) -> list[Check]:
    """Run the demo, leave its page in the folder, and return every check that was made."""
    show.line(_("Sunward: AI jobs run where power is clean, with a receipt."), "bold")
    show.line(
        _(
            "Real: processes, checkpoints, signatures, ledger.   Modelled: GPU watts, grid (typical June day). "
            "1 h = {seconds} s."
        ).format(seconds=f"{HOUR_S / speed:g}")
    )
    _say_sandbox()
    with Stage(folder, speed) as stage:
        try:
            return _play_on(stage, folder, keep=keep)
        except SourceError:
            # When a process ended, its own last words say more than that nobody answers.
            stage.check_alive()
            raise


def _play_on(stage: Stage, folder: Path, *, keep: bool) -> list[Check]:
    """The whole story on a stage; its checks."""
    stage.environ["SUNWARD_CHAIN_PASSPHRASE_FILE"] = str(on_chain.words_file(folder).resolve())
    control = stage.start_control()
    pids = {site.site: stage.start_agent(site) for site in SITES}
    with stage.client() as client:
        story = Story(stage, client, Watcher(client), client.clock())
        _wait_for_sites(story)
        _show_sites(story, pids, control)
        _run(story)
        contracts = on_chain.deploy_contracts(stage)
        receipts = _settle(story)
        paid = on_chain.play(stage, contracts, [receipt.job for receipt in receipts if receipt.lines])
        _prove(story, receipts)
        story.checks += paid
        page = _write_page(story, receipts, folder)
        _show_end(story, receipts, page)
        if keep:
            show.line(_("The network keeps running at {url}; Ctrl-C ends it.").format(url=client.url))
            stage.wait()
    return story.checks


def _say_sandbox() -> None:
    """Say whether jobs are isolated, and what would isolate them."""
    found = sandbox.find()
    if isinstance(found, str):
        show.line(
            _("No sandbox here: {reason}; own jobs run trusted. To isolate them: apt install bubblewrap").format(
                reason=found
            ),
            "yellow",
        )
    else:
        show.line(_("Sandbox: bubblewrap, no network."))


def _wait_for_sites(story: Story) -> None:
    """Wait until every agent answers and the first hour of business has come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        story.stage.check_alive()
        sites = story.client.sites()
        if len(sites) == len(SITES) and all(site.reachable for site in sites) and story.now_ms >= FIRST_SUBMIT_MS:
            return
        time.sleep(POLL_S)
    raise SourceError("not every agent came up; see the logs in the demo's folder", transient=False)


def _show_sites(story: Story, pids: dict[str, int], control: int) -> None:
    rows = [
        (
            view.site,
            f"{view.gpus} {view.gpu_model}",
            show.intensity(view.carbon_mg_per_kwh),
            show.ratio(view.overhead_ppm),
            word(STATES, view.power_state),
            f"pid {pids[view.site]}",
        )
        for view in story.client.sites()
    ]
    show.table(
        (_("SITE"), _("GPUS"), "g/kWh", _("OVERHEAD"), _("STATE"), f"({_('control plane')}: pid {control})"), rows
    )


def _request(story: Story, job: DemoJob) -> JobRequest:
    return JobRequest(
        name=job.name,
        command=("python3", job.script),
        env=job.env,
        bundle=_bundle(story),
        origin_zone=job.origin_zone,
        work_class=job.work_class,
        gpus=job.gpus,
        length_s=round(job.length_h * HOUR_S),
        units=job.units,
        interruptible=job.pausable,
        deadline_s=round(job.within_h * HOUR_S),
        countries=job.countries,
        policy=job.policy,
        functional_unit=job.functional_unit,
    )


def _bundle(story: Story) -> str:
    """The folder of all job scripts, packed; equal folders are stored once."""
    archive = story.stage.folder / "jobs.tar"
    if not archive.exists():
        packed = io.BytesIO()
        with resources.as_file(resources.files("sunward.demo") / "jobs") as scripts:
            pack(scripts, packed)
        archive.write_bytes(packed.getvalue())
    return story.client.put_object(archive)


def _submit_due(story: Story, waiting: list[DemoJob]) -> None:
    """Ask for every job whose hour has come."""
    elapsed_ms = story.now_ms - FIRST_SUBMIT_MS
    for job in [job for job in waiting if job.submit_h * HOUR_MS <= elapsed_ms]:
        waiting.remove(job)
        submitted = story.client.submit(_request(story, job))
        story.jobs[submitted.job] = job
        story.watcher.names[submitted.job] = job.name


def _run(story: Story) -> None:
    """Submit, watch, kill one agent and bring it back, curtail a site, until every job has ended."""
    waiting = list(JOBS)
    _submit_due(story, waiting)
    _show_decisions(story)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if time.monotonic() > deadline:
            raise SourceError(f"jobs were still open after {PATIENCE_S:.0f} s", transient=False)
        story.stage.check_alive()
        _submit_due(story, waiting)
        story.watcher.look(story.now_ms)
        _kill_when_ready(story)
        _revive_when_due(story)
        _curtail_when_ready(story)
        if not waiting and story.watcher.ended and not story.back_s:
            return
        time.sleep(POLL_S)


def _show_decisions(story: Story) -> None:
    """The first plan: where, when and why."""
    views = _decided(story)
    rows = []
    for view in views:
        asked = story.jobs[view.job]
        if view.refusal is not None:
            rows.append(
                (asked.name, _(asked.asked), _("REFUSED"), sentence(REFUSED, view.refusal.reason, view.refusal.detail))
            )
        elif view.assignment is not None:
            first = view.assignment.segments[0]
            decided = f"{first.pool.partition('/')[0]} {clock(first.start_ms)}"
            rows.append((asked.name, _(asked.asked), decided, _why(view)))
    show.table((_("JOB"), _("ASKED"), _("DECIDED"), _("WHY")), rows)


def _decided(story: Story) -> list[JobView]:
    """Wait until the planner has said something about every job."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        story.watcher.look(story.now_ms, quiet=True)
        if story.watcher.decided.keys() >= story.jobs.keys():
            return [story.watcher.decided[job] for job in story.jobs]
        time.sleep(POLL_S)
    raise SourceError("the planner said nothing", transient=False)


def _why(view: JobView) -> str:
    """The planner's main reason, with what it saves in carbon against starting at once."""
    if view.assignment is None:
        return ""
    saves = view.assignment.saves_ppm
    text = word(PLACED, view.assignment.reason)
    if abs(saves) * 100 < PPM:
        return text
    told = _("{share} less carbon than starting now") if saves > 0 else _("{share} more carbon than starting now")
    return f"{text} ({told.format(share=show.percent(saves))})"


def _kill_when_ready(story: Story) -> None:
    """`kill -9` the agent that runs the chosen job, once a checkpoint of it is safe."""
    if story.kill_ms:
        return
    view = story.watcher.jobs.get(story.id_of(KILLED)) if story.jobs else None
    if view is None or view.state != "running" or not view.units // 5 < view.units_done < view.units // 2:
        return
    story.kill_ms = story.now_ms
    story.killed_site = view.site
    attempts = sum(line.state == "running" for line in story.client.history(view.job))
    story.killed_lease = f"{view.job}.{attempts}"
    pid = story.stage.kill(view.site)
    story.back_s = time.monotonic() + AWAY_S
    show.line(
        _("{time}  kill -9 {pid} ({site} agent), on purpose").format(
            time=clock(story.kill_ms), pid=pid, site=view.site
        ),
        "bold red",
    )


def _revive_when_due(story: Story) -> None:
    if story.back_s and time.monotonic() >= story.back_s:
        story.back_s = 0.0
        site = next(site for site in SITES if site.site == story.killed_site)
        pid = story.stage.start_agent(site)
        show.line(
            _("{time}  {site} agent is started again, pid {pid}").format(
                time=clock(story.now_ms), site=site.site, pid=pid
            ),
            "bold",
        )


def _curtail_when_ready(story: Story) -> None:
    """Once the chosen job runs, the grid asks its site to draw less for a while."""
    if story.event is not None:
        return
    found = grid_event.choose(story.watcher.jobs.values(), story.jobs, story.now_ms)
    if found is None:
        return
    name, gpus = found
    site = next(site for site in SITES if site.site == name)
    start_ms = story.now_ms + grid_event.NOTICE_MS
    kw, end_ms = grid_event.ceiling_kw(site, gpus), start_ms + grid_event.LASTS_MS
    with story.stage.client("operator") as operator:
        operator.curtail(name, kw, end_ms, start_ms)
    story.event = GridEvent(name, gpus, start_ms, end_ms, kw)
    show.line(
        _("{time}  the grid asks {site} to draw at most {kw} kW from {start} to {end}").format(
            time=clock(story.now_ms), site=name, kw=f"{kw:g}", start=clock(start_ms), end=clock(end_ms)
        ),
        "bold yellow",
    )


def _settle(story: Story) -> list[Receipt]:
    """Close the epoch when every reading is in; the receipts of all jobs, in order of submission."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with story.stage.client("operator") as operator:
            operator.close_epoch()
        final = [job for job in story.jobs if _is_final(story, job)]
        if len(final) == len(story.jobs):
            return [story.client.receipt(job).receipt for job in story.jobs]
        time.sleep(1.0)
    raise SourceError("receipts did not become final", transient=False)


def _is_final(story: Story, job: str) -> bool:
    try:
        return story.client.receipt(job).final
    except InputError:
        return False


def _prove(story: Story, receipts: list[Receipt]) -> None:
    """Run every check."""
    checks = story.checks
    wrong = [story.jobs[one.job].name for one in receipts if one.state != story.jobs[one.job].ends]
    checks.append(Check(_("every job ended as it should"), not wrong, ", ".join(wrong)))
    ran = [receipt for receipt in receipts if receipt.lines]
    bundles = [story.client.bundle(receipt.job) for receipt in ran]
    checks += [proof.check_receipt(story.jobs[one.job].name, raw) for one, raw in zip(ran, bundles, strict=True)]
    checks.append(proof.check_tampered(bundles[0]))
    with story.stage.client("auditor") as auditor:
        journal, parity = proof.check_journal(auditor)
    checks += journal
    checks.append(proof.check_parity(story.client, parity, [receipt.job for receipt in receipts]))
    with story.stage.client("operator") as operator:
        checks.append(proof.check_books(operator))
    checks.append(_check_moved(story, receipts))
    checks.append(_check_paused(story, receipts))
    names = {job: asked.name for job, asked in story.jobs.items()}
    checks.append(grid_event.check_yielded(receipts, names, story.event))
    checks.append(proof.check_fenced(story.stage, story.killed_site, story.killed_lease))
    train = story.id_of("train")
    files = story.id_of("samples")
    results = story.stage.folder / "results"
    checks.append(
        _fetched(lambda: proof.check_training(story.client, train, story.jobs[train].units, results / "train"))
    )
    checks.append(_fetched(lambda: proof.check_files(story.client, files, results / "samples")))


def _fetched(check: Callable[[], Check]) -> Check:
    """A check of results; it fails when there are none."""
    try:
        return check()
    except InputError as reason:
        return Check(_("the results can be fetched"), False, translated(reason.message))


def _check_paused(story: Story, receipts: list[Receipt]) -> Check:
    """The training paused at one site and went on at another, at the same step and with the same loss."""
    job = story.id_of("train")
    receipt = next(one for one in receipts if one.job == job)
    told = [moment for moment in story.watcher.moments if moment.job == job and moment.loss]
    pauses = [
        (before, after)
        for before, after in pairwise(told)
        if before.state == "suspended" and after.reason == "resumed" and before.step
    ]
    same = bool(pauses) and all((one.step, one.loss) == (two.step, two.loss) for one, two in pauses)
    detail = _("{way}, step {step}, loss {loss}").format(
        way=where(receipt), step=f"{pauses[-1][0].step:,}" if pauses else 0, loss=pauses[-1][0].loss if pauses else ""
    )
    return Check(
        _("the training paused and went on at another site with the same loss"), same and _moved(receipt), detail
    )


def _moved(receipt: Receipt) -> bool:
    return len({line.site for line in receipt.attempts}) > 1


def _check_moved(story: Story, receipts: list[Receipt]) -> Check:
    """The job of the killed agent went on elsewhere from its checkpoint, and ended once."""
    job = story.id_of(KILLED)
    receipt = next(one for one in receipts if one.job == job)
    lost = [line for line in receipt.attempts if line.ended == "lost"]
    later = [line for line in receipt.attempts if lost and line.attempt > lost[0].attempt]
    resumed = [moment for moment in story.watcher.moments if moment.job == job and moment.reason == "resumed"]
    kept = max((moment.units for moment in resumed), default=0)
    passed = bool(lost) and bool(later) and receipt.state == "finished" and later[0].site != lost[0].site and kept > 0
    told = " → ".join(f"{line.site} ({line.ended})" for line in receipt.attempts)
    told = _("{way}, from unit {units}").format(way=told, units=f"{kept:,}")
    return Check(_("the killed agent's job went on elsewhere from its checkpoint"), passed, told)


def _write_page(story: Story, receipts: list[Receipt], folder: Path) -> Path:
    jobs = {job: (asked, story.watcher.decided[job]) for job, asked in story.jobs.items()}
    with story.stage.client("operator") as operator:
        data = report_data(
            operator, jobs, receipts, story.watcher.moments, story.checks, story.kill_ms, story.id_of(KILLED)
        )
    page = folder / PAGE
    page.write_text(render_report(data, _), encoding="utf-8")
    return page


def _show_end(story: Story, receipts: list[Receipt], page: Path) -> None:
    rows = []
    for receipt in receipts:
        now = receipt.counterfactuals[0] if receipt.counterfactuals else None
        rows.append(
            (
                story.jobs[receipt.job].name,
                where(receipt),
                show.energy(receipt.facility_j),
                show.grams(receipt.location_mg),
                show.grams(now.carbon_mg) if now else show.NOTHING,
                _change(now.change_ppm) if now else show.NOTHING,
                show.usd(receipt.price_usd_micro),
            )
        )
    columns = (_("RECEIPT"), _("WHERE"), _("ENERGY"), "gCO2e", _("RUN-NOW*"), _("CHANGE"), _("PRICE"))
    show.table(columns, rows)
    promises = [promise.kept for receipt in receipts for promise in receipt.promises]
    show.line(
        _(
            "Location-based, life-cycle; promises kept {kept}/{all}; "
            "* run now at the tenant's own zone, same hardware, always on (run-now-origin/2); grid data {quality}"
        ).format(kept=sum(promises), all=len(promises), quality=word(QUALITIES, "modelled"))
    )
    _show_worse(story, receipts)
    with story.stage.client("operator") as operator:
        for statement in operator.epochs():
            show.line(
                _("EPOCH {epoch}  paid {paid} in test ATH, balance {balance}").format(
                    epoch=statement.epoch, paid=show.usd(statement.paid_usd_micro), balance=statement.balance_wei
                )
            )
    for check in story.checks:
        mark = "OK" if check.passed else _("FAILED")
        show.line(
            f"{mark:<7}{check.name}{f'  ({check.detail})' if check.detail else ''}",
            "green" if check.passed else "bold red",
        )
    show.line(_("Report: {page}").format(page=page.resolve().as_uri()), "bold")


def _change(change_ppm: int) -> str:
    """A change with its sign."""
    sign = "+" if change_ppm > 0 else "−" if change_ppm < 0 else ""
    return sign + show.percent(change_ppm)


def _show_worse(story: Story, receipts: list[Receipt]) -> None:
    """Say honestly which job came out worse than running now, and why."""
    for receipt in receipts:
        now = receipt.counterfactuals[0] if receipt.counterfactuals else None
        asked = story.jobs[receipt.job]
        if now is not None and now.change_ppm > 0:
            why = (
                _("it may only run in {countries}").format(countries=", ".join(asked.countries))
                if asked.countries
                else _("cleaner GPUs were taken or dearer than its carbon price")
            )
            show.line(
                _("{job} came out worse than running now in {zone}: {why}.").format(
                    job=asked.name, zone=asked.origin_zone, why=why
                ),
                "yellow",
            )
