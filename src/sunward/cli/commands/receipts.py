"""Receipts: to read them, to keep them, and to check them without trusting anyone."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.commands.jobs import POLL_S
from sunward.cli.reasons import BASES, COUNTERFACTUALS, NOT_PROVED, PROMISES, QUALITIES, STATES, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _, ngettext
from sunward.client import ApiClient
from sunward.client.waiting import NO_RECEIPT_YET
from sunward.errors import ConflictError, InputError
from sunward.model.codec import decode
from sunward.model.receipt import Counterfactual, Promise, Receipt
from sunward.model.records import ReceiptView, SigningKeys
from sunward.units import MG_PER_G
from sunward.verification.bundle import Bundle, read_bundle
from sunward.verification.forks import MARK, ForkProof, read_fork, verify_fork
from sunward.verification.receipt import verify as check
from sunward.verification.verdict import Verdict


@command()
@click.argument("job")
@option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write all that `sunward verify` needs to a file.",
)
@option("--wait", is_flag=True, help="Wait for it: the last readings come in some minutes after the job's end.")
@pass_shell
def receipt(shell: Shell, job: str, bundle: Path | None, *, wait: bool) -> None:
    """Show what a job used, caused and cost."""
    with shell.client() as client:
        signed = _awaited(shell, client, job) if wait else client.receipt(job)
        if bundle is not None:
            bundle.write_bytes(client.bundle(job))
    if shell.json:
        show.json_line(signed)
        return
    _show(signed)
    if bundle is not None:
        show.line()
        show.line(_("written to {file}; check it with `sunward verify {file}`").format(file=bundle))


def _awaited(shell: Shell, client: ApiClient, job: str) -> ReceiptView:
    """A job's receipt once there is one."""
    while True:
        try:
            return client.receipt(job)
        except ConflictError as reason:
            if reason.code not in NO_RECEIPT_YET:
                raise
        shell.sleep(POLL_S)


@command()
@click.argument("subject", metavar="FILE|JOB", required=False)
@option("--key", default="", metavar="HEX", help="The service's public key, as you know it from elsewhere.")
@option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `sunward key list --json` wrote: for a bundle older than the key you know.",
)
@option("--standalone", is_flag=True, help="Print a verifier in one file that works without Sunward, and end.")
@pass_shell
def verify(shell: Shell, subject: str | None, key: str, keys: Path | None, *, standalone: bool) -> int:
    """Check a receipt by independent code: a bundle in a file, or that of a job; or the proof of a fork in a file.

    A file is checked offline. Exit 1 when it is refused. Ends with what was not proved.
    """
    if standalone:
        click.echo((resources.files("sunward.verification") / "sunward_verify.py").read_text("utf-8"), nl=False)
        return 0
    if subject is None:
        raise InputError(_("name a bundle's file or a job; `--standalone` prints a verifier"), code="SW-600")
    fork = _fork(subject)
    known = decode(keys.read_bytes(), SigningKeys).rotations if keys else ()
    verdict = verify_fork(fork, key) if fork else check(_bundle(shell, subject), key, known)
    if shell.json:
        show.json_line({"subject": subject, "ok": verdict.ok, "verdict": verdict})
    else:
        if fork and verdict.ok:
            line = _("PROVED: the control plane signed two different records {sequence}, shown by")
            show.line(line.format(sequence=fork.sequence), "bold red")
            for side in fork.sides:
                show.line(f"  {side.source}: {side.hash_at(fork.sequence)}")
        show_verdict(verdict, subject)
    return 0 if verdict.ok else 1


def _fork(subject: str) -> ForkProof | None:
    """The proof of a fork in a file; None where it holds something else."""
    file = Path(subject)
    if not file.is_file() or not (raw := file.read_bytes()).startswith(MARK):
        return None
    try:
        return read_fork(raw)
    except InputError as reason:
        line = _("{file} holds no proof of a fork ({reason})")
        raise InputError(line.format(file=file, reason=reason.message), code="SW-781") from None


def _bundle(shell: Shell, subject: str) -> Bundle:
    """The bundle in a file, else that of a job; a word that cannot be an id is a file that is missing."""
    file = Path(subject)
    if not file.is_file():
        if not subject.isascii() or not subject.replace("-", "").isalnum():
            raise InputError(
                _("there is no file {file}, and no job has such an id").format(file=subject), code="SW-612"
            )
        with shell.client() as client:
            return read_bundle(client.bundle(subject))
    try:
        return read_bundle(file.read_bytes())
    except InputError as reason:
        line = _("{file} holds no receipt bundle ({reason}); `sunward receipt JOB --bundle FILE` writes one")
        raise InputError(line.format(file=file, reason=reason.message), code="SW-618") from None


def show_verdict(verdict: Verdict, subject: str) -> None:
    """A verdict, its findings, and what it leaves open."""
    if verdict.ok:
        text = ngettext(
            "OK: {subject} passed {count} check", "OK: {subject} passed {count} checks", len(verdict.checked)
        )
        show.line(text.format(subject=subject, count=len(verdict.checked)), "green")
    else:
        show.line(_("REFUSED: {subject}").format(subject=subject), "bold red")
    for finding in verdict.findings:
        show.line(f"  {finding.key}: {_(finding.sentence).format(**finding.figures)}", "red")
    show_open(verdict.not_proved)


def show_open(keys: tuple[str, ...]) -> None:
    """What was not proved, if anything."""
    if keys:
        show.line(_("Not proved:"))
    for key in keys:
        show.line(f"  - {word(NOT_PROVED, key)}")


def _show(signed: ReceiptView) -> None:
    paper = signed.receipt
    show.pairs([*_summary(signed), *_money(paper)])
    show.line()
    columns = (_("HOUR"), _("SITE"), _("ZONE"), "GPU", "kWh", "g/kWh", _("QUALITY"), "gCO2e")
    show.table(
        columns,
        (
            (
                show.stamp(row.hour_ms),
                row.site,
                row.zone,
                row.gpu_model,
                show.energy(row.gpu_j + row.host_j + row.overhead_j).removesuffix(" kWh"),
                show.intensity(row.carbon_mg_per_kwh),
                word(QUALITIES, row.carbon_quality),
                show.grams(row.location_mg),
            )
            for row in paper.lines
        ),
    )
    for source in dict.fromkeys(row.carbon_source for row in paper.lines):
        show.line(_("carbon intensity from: {source}").format(source=source), "dim")
    _show_adjustments(signed)
    show.line()
    show_open(paper.not_proved)


def _show_adjustments(signed: ReceiptView) -> None:
    """What sources revised since: the receipt stays as signed, and this stands beside it."""
    if not signed.adjustments:
        return
    show.line()
    show.line(_("Adjusted since it became final:"))
    columns = (_("POSTED"), _("HOUR"), _("ZONE"), _("WAS g/kWh"), _("IS g/kWh"), _("QUALITY"), _("CHANGE gCO2e"))
    show.table(
        columns,
        (
            (
                show.stamp(one.at_ms),
                show.stamp(one.hour_ms),
                one.zone,
                show.intensity(one.old_mg_per_kwh),
                show.intensity(one.new_mg_per_kwh),
                word(QUALITIES, one.quality),
                f"{(one.new_mg - one.old_mg) / MG_PER_G:+,.1f}",
            )
            for one in signed.adjustments
        ),
    )
    change_mg = sum(one.new_mg - one.old_mg for one in signed.adjustments)
    text = _("location-based, life-cycle, adjusted: {carbon}")
    show.line(text.format(carbon=show.carbon(signed.receipt.location_mg + change_mg)))


def _summary(signed: ReceiptView) -> list[tuple[str, str | show.Cell]]:
    paper = signed.receipt
    standing = (
        _("final, epoch {epoch}").format(epoch=paper.epoch) if signed.final else _("provisional until its epoch closes")
    )
    market = show.carbon(paper.market_mg)
    if paper.market_basis:
        market = f"{market} ({word(BASES, paper.market_basis)})"
    return [
        (_("job"), paper.job),
        (_("state"), word(STATES, paper.state)),
        (_("receipt"), standing),
        (_("energy"), _energies(paper)),
        (_("location-based, life-cycle"), show.carbon(paper.location_mg)),
        (_("market-based"), market),
        (_("embodied"), show.carbon(paper.embodied_mg)),
        (_("water"), show.litres(paper.water_ml)),
        ("SCI", _sci(paper)),
        *((word(COUNTERFACTUALS, other.name), _change(other)) for other in paper.counterfactuals),
        *((word(PROMISES, made.kind), _promise(made)) for made in paper.promises),
    ]


def _energies(paper: Receipt) -> str:
    text = _("{facility} at the site meter = GPU {gpu} + host {host} + overhead {overhead}; {quality}, {share} metered")
    return text.format(
        facility=show.energy(paper.facility_j) + _range(paper),
        gpu=show.energy(paper.gpu_j),
        host=show.energy(paper.host_j),
        overhead=show.energy(paper.overhead_j),
        quality=word(QUALITIES, paper.energy_quality),
        share=show.percent(paper.metered_ppm),
    )


def _range(paper: Receipt) -> str:
    """How far the energy may lie to either side."""
    return f" ± {show.percent(paper.energy_uncertainty_ppm)}" if paper.energy_uncertainty_ppm else ""


def _money(paper: Receipt) -> list[tuple[str, str | show.Cell]]:
    return [
        (_("price"), show.usd(paper.price_usd_micro)),
        (_("paid"), _paid(paper)),
        (_("of it to the provider"), show.ath(paper.provider_wei)),
        (_("of it to the network"), show.ath(paper.network_wei)),
        (_("of it to offsets"), show.ath(paper.offset_wei)),
        (_("back to you"), show.ath(paper.refund_wei)),
    ]


def _paid(paper: Receipt) -> str:
    """What changed hands: the price, or all that was set aside where the price is higher."""
    paid = show.ath(paper.price_wei)
    if paper.price_wei and not paper.refund_wei:
        return _("{amount}, all that was set aside").format(amount=paid)
    return paid


def _sci(paper: Receipt) -> str:
    if paper.sci_mg_per_unit is None:
        return _("none: no unit was declared at submit")
    return f"{show.carbon(paper.sci_mg_per_unit)} / {paper.functional_unit}"


def _change(other: Counterfactual) -> show.Cell:
    share = show.percent(other.change_ppm)
    if other.change_ppm <= 0:
        text, style = _("{carbon} there: {percent} less here"), "green"
    else:
        text, style = _("{carbon} there: {percent} more here"), "yellow"
    return show.Cell(text.format(carbon=show.carbon(other.carbon_mg), percent=share), style)


def _promise(made: Promise) -> show.Cell:
    text = _("{time}: kept") if made.kept else _("{time}: broken")
    if made.stated_ppm:
        text = (
            _("{time} with probability {stated}: kept") if made.kept else _("{time} with probability {stated}: broken")
        )
    told = text.format(time=show.stamp(made.at_ms), stated=show.probability(made.stated_ppm))
    return show.Cell(told, "green" if made.kept else "red")
