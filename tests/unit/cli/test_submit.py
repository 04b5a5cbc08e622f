"""`sunward submit`: flags and job files, the quote, sending, following."""

import hashlib
import json
from dataclasses import fields, replace

import httpx
import pytest

from sunward.cli.commands import submit as submit_module
from sunward.cli.described import FLAGS
from sunward.client.jobfile import JobFile, key_of
from sunward.model.request import LengthOutlook, Submitted, WaitingOption
from tests.unit.cli.conftest import DAY, HEAD, HOUR_MS, JOB, QUOTE, REFUSED_QUOTE, answer, job_view, log_part, problem

SUBMIT = ("submit", "-y", "--zone", "DE", "--hours", "2", "--finish-within", "12h", "--units", "1000", "--pausable")
ZONE = {"SUNWARD_ZONE": "DE"}
JOB_YAML = """\
name: finetune
command: python train.py --lr 0.1
gpus: {count: 2, memory_gib: 40}
hours: 3
env: {A: 1, B: 2}
countries: [NO, SE]
"""


def test_submit_sends_what_was_asked(run, service):
    words = ("--gpus", "2", "--gpu-memory", "40", "--gpu-model", "H100-SXM", "--country", "no", "--country", "SE")
    more = (
        "--budget",
        "9.5",
        "--policy",
        "greenest",
        "--class",
        "training",
        "--unit",
        "image",
        "--env",
        "A=b=c",
        "--max-slowdown",
        "0",
        "--latency-max",
        "60",
        "--evidence",
        "place=endorsed",
    )
    result = run(*SUBMIT, *words, *more, "--", "python", "train.py", "--lang", "ko", "--json")
    assert result.exit_code == 0, result.output
    sent = service.sent("POST", "/v1/jobs")
    assert sent["command"] == ["python", "train.py", "--lang", "ko", "--json"]
    assert (sent["length_s"], sent["deadline_s"], sent["units"], sent["interruptible"]) == (7_200, 43_200, 1_000, True)
    assert (sent["gpus"], sent["gpu_memory_gib"], sent["gpu_models"]) == (2, 40, ["H100-SXM"])
    assert (sent["countries"], sent["budget_usd"], sent["policy"]) == (["NO", "SE"], 9.5, "greenest")
    assert (sent["work_class"], sent["functional_unit"], sent["env"]) == ("training", "image", {"A": "b=c"})
    assert sent["latency_max_ms"] == 60
    assert sent["evidence"] == {"place": "endorsed"}
    assert sent["max_slowdown"] == 0
    assert (sent["name"], sent["origin_zone"]) == ("python", "DE")
    assert sent == service.sent("POST", "/v1/quotes"), "the quote was for the very same job"
    keys = [request.headers["Idempotency-Key"] for request in service.requests]
    assert len(set(keys)) == 2


def test_submit_needs_no_dashes_before_the_command(run, service):
    assert run(*SUBMIT, "python", "train.py", "--gpus", "x").exit_code == 0
    assert service.sent("POST", "/v1/jobs")["command"] == ["python", "train.py", "--gpus", "x"]


def test_submit_sends_the_folder_after_agreement(run, service, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("print(1)")
    assert run(*SUBMIT, "--folder", str(tmp_path / "work"), "--", "python", "train.py").exit_code == 0
    assert [request.method for request in service.requests] == ["POST", "HEAD", "PUT", "POST"]
    stored = service.requests[2].content
    digest = hashlib.sha256(stored).hexdigest()
    assert service.requests[1].url.path == f"/v1/objects/{digest}"
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["bundle"], sent["data_bytes"]) == (digest, len(stored))
    assert service.sent("POST", "/v1/quotes")["bundle"] == ""


def test_an_unchanged_folder_is_not_stored_again(run, service, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("print(1)")
    words = (*SUBMIT, "--folder", str(tmp_path / "work"), "--", "true")
    run(*words)
    known = service.requests[1].url.path
    service.requests.clear()
    service.answers[f"HEAD {known}"] = answer(b"")
    assert run(*words).exit_code == 0
    assert [request.method for request in service.requests] == ["POST", "HEAD", "POST"]


def test_dry_run_sends_nothing(run, service):
    result = run("submit", "--dry-run", "--zone", "DE", "--", "true")
    assert result.exit_code == 0
    assert "the provider can read this job's code and data" in result.stdout
    assert [request.url.path for request in service.requests] == ["/v1/quotes"]


def test_a_refused_quote_exits_1_with_its_reason(run, service):
    service.answers["POST /v1/quotes"] = answer(REFUSED_QUOTE)
    result = run(*SUBMIT, "--", "true")
    assert (result.exit_code, len(service.requests)) == (1, 1)
    assert "would be refused: no site has enough GPUs (largest site has 4)" in result.stdout
    later = replace(REFUSED_QUOTE, unplaced=replace(REFUSED_QUOTE.unplaced, permanent=False))
    service.answers["POST /v1/quotes"] = [answer(REFUSED_QUOTE), answer(later)]
    assert "가장 큰 사이트가 4개" in run("--lang", "ko", *SUBMIT, "--", "true").stdout
    assert "try again later" in run(*SUBMIT, "--", "true").stdout


@pytest.mark.parametrize(("typed", "code", "requests"), [("y\n", 0, 2), ("n\n", 1, 1)])
def test_submit_asks_first(run, service, monkeypatch, typed, code, requests):
    monkeypatch.setattr(submit_module, "interactive", lambda: True)
    result = run("submit", "--zone", "DE", "--", "true", stdin=typed)
    assert (result.exit_code, len(service.requests)) == (code, requests)
    assert "Submit?" in result.stderr


ENDS = [
    ("finished", 0, 0),
    ("finished", None, 0),
    ("failed", 3, 3),
    ("failed", -9, 137),
    ("failed", 0, 1),
    ("failed", None, 1),
    ("failed", 70_000, 1),
    ("cancelled", 143, 1),
    ("expired", None, 1),
    ("refused", None, 1),
]


@pytest.mark.parametrize(("state", "ended", "code"), ENDS)
def test_following_ends_as_the_job_does(run, service, state, ended, code):
    gone = httpx.ReadError("away")
    log = [log_part(b"one\n", 4, final=False), gone, log_part(b"two\n", 8, final=False), log_part(b"", 8, final=True)]
    service.answers[f"GET /v1/jobs/{JOB}/logs"] = log
    service.answers[f"GET /v1/jobs/{JOB}"] = [answer(job_view()), answer(job_view(state=state, exit_code=ended))]
    result = run(*SUBMIT, "-f", "--", "true")
    assert result.exit_code == code
    assert result.stdout.endswith("one\ntwo\n")
    assert f"{JOB}: {state}" in result.stderr
    service.answers[f"GET /v1/jobs/{JOB}/logs"] = log_part(b"", 8, final=True)
    assert json.loads(run("logs", JOB, "-f", "--json").stdout)["state"] == state


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_every_key_has_its_flag():
    given = {param.name: set(param.opts) for param in submit_module.submit.params}
    parts = {"gpus.memory_gib": "gpu_memory", "gpus.model": "gpu_model", "command": "words"}
    for key in [*(key_of(each.name) for each in fields(JobFile)), "gpus.memory_gib", "gpus.model"]:
        flag = FLAGS.get(key, "--" + key.replace("_", "-"))
        assert key == "command" or flag in given[parts.get(key, key)]


def test_the_job_file_here_is_read_when_no_command_is_given(run, service, work):
    (work / "job.yaml").write_text(JOB_YAML)
    assert run("submit", "-y", **ZONE).exit_code == 0
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["name"], sent["command"]) == ("finetune", ["python", "train.py", "--lr", "0.1"])
    assert (sent["gpus"], sent["gpu_memory_gib"], sent["length_s"]) == (2, 40, 10_800)
    assert (sent["env"], sent["countries"], sent["deadline_s"]) == ({"A": "1", "B": "2"}, ["NO", "SE"], 86_400)
    assert run("submit", "-y", "--", "true", **ZONE).exit_code == 0
    assert service.sent("POST", "/v1/jobs")["name"] == "true", "a command on the line says all"


def test_flags_win_over_the_job_file_part_by_part(run, service, work):
    (work / "job.yaml").write_text(JOB_YAML)
    words = ("--gpus", "4", "--hours", "1", "--env", "B=9", "--country", "fr", "--name", "other", "--start-by", "1h")
    assert run("submit", "-y", *words, **ZONE).exit_code == 0
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["gpus"], sent["gpu_memory_gib"], sent["length_s"], sent["name"]) == (4, 40, 3_600, "other")
    assert (sent["env"], sent["countries"]) == ({"A": "1", "B": "9"}, ["FR"])
    assert (sent["start_by_s"], sent["deadline_s"]) == (3_600, 0)
    (work / "job.yaml").write_text("command: a\ngpus: 2\ncheckpoint: true\nunits: 5\n")
    assert run("submit", "-y", "--gpu-model", "H100-SXM", "--no-checkpoint", "--", "b", "c").exit_code == 2
    assert run("submit", "-y", "--file", "job.yaml", "--no-checkpoint", "--", "b", "c", **ZONE).exit_code == 0
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["command"], sent["gpus"], sent["interruptible"]) == (["b", "c"], 2, False)


def test_an_elastic_job_is_asked_on_the_command_line(run, service):
    assert run(*SUBMIT, "--gpus", "2-4", "--speedup", "1,1.4,1.7", "--", "python", "train.py").exit_code == 0
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["gpus"], sent["gpus_max"], sent["speedup"]) == (2, 4, [1, 1.4, 1.7])


def test_the_quote_of_an_elastic_job_says_how_many_gpus_it_would_have(run, service):
    asked = ("--gpus", "1-4", "--speedup", "1,1.4,1.7,2", "--pausable", "--units", "9")
    held = replace(QUOTE.assignment.segments[0], containers=4)
    both = replace(QUOTE, assignment=replace(QUOTE.assignment, segments=(held, replace(held, containers=1))))
    service.answers["POST /v1/quotes"] = [answer(both), answer(both)]
    assert "4, then 1" in run("submit", "--dry-run", "--zone", "DE", *asked, "--", "true").stdout
    assert ", then " not in run("submit", "--dry-run", "--zone", "DE", "--", "true").stdout


@pytest.mark.parametrize(
    ("words", "gpus", "most", "curve"),
    [((), 1, 2, [1, 1.5]), (("--gpus", "3"), 3, 0, []), (("--gpus", "2-3"), 2, 3, [1, 1.5])],
)
def test_a_flag_for_the_number_of_gpus_wins_over_an_elastic_file(run, service, work, words, gpus, most, curve):
    (work / "job.yaml").write_text(
        "command: python train.py\ngpus: {min: 1, max: 2}\nspeedup: [1, 1.5]\ncheckpoint: true\nunits: 9\n"
    )
    assert run("submit", "-y", *words, **ZONE).exit_code == 0
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["gpus"], sent["gpus_max"], sent["speedup"]) == (gpus, most, curve)


def test_paths_count_from_where_they_are_written(run, service, work, monkeypatch):
    (work / "jobs" / "src").mkdir(parents=True)
    (work / "jobs" / "src" / "a.py").write_text("1")
    (work / "jobs" / "req.txt").write_text("from the file's folder")
    (work / "req.txt").write_text("from here")
    (work / "key").write_text("s3cret")
    (work / "jobs" / "x.yaml").write_text("command: python a.py\nfolder: src\nsetup: req.txt\n")
    assert run("submit", "-y", "--file", "jobs/x.yaml", **ZONE).exit_code == 0
    assert service.sent("POST", "/v1/jobs")["setup"] == "from the file's folder"
    words = ("--setup", "req.txt", "--secret", "K@key", "--input", "in.txt=key", "--folder", "jobs/src")
    assert run("submit", "-y", "--file", "jobs/x.yaml", *words, **ZONE).exit_code == 0
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["setup"], sent["secrets"]) == ("from here", {"K": "s3cret"})
    assert sent["inputs"] == [{"path": "in.txt", "sha256": hashlib.sha256(b"s3cret").hexdigest(), "url": ""}]


def test_inputs_on_the_command_line(run, service, work):
    (work / "a=b.csv").write_text("1")
    digest = "ab" * 32
    words = (
        *("--input", f"https://example.org/x?y=z#sha256={digest}"),
        *("--input", f"data/m.bin=s3://bucket/m#sha256={digest}"),
        *("--input", "c.csv=a=b.csv"),
    )
    assert run(*SUBMIT, *words, "--", "true").exit_code == 0
    assert [(each["path"], each["url"]) for each in service.sent("POST", "/v1/jobs")["inputs"]] == [
        ("x", "https://example.org/x?y=z"),
        ("data/m.bin", "s3://bucket/m"),
        ("c.csv", ""),
    ]
    assert [request.method for request in service.requests] == ["POST", "HEAD", "PUT", "POST"]


@pytest.mark.parametrize("words", [("--dry-run",), ("--dry-run", "--json"), ("-y",), ("-y", "--json")])
def test_secrets_are_sent_once_and_never_shown(run, service, words):
    result = run("submit", *words, "--secret", "TOKEN", "--", "true", TOKEN="hunter2", **ZONE)
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    bodies = [(request.url.path, b"hunter2" in request.content) for request in service.requests]
    assert bodies == [("/v1/quotes", False), ("/v1/jobs", True)][: len(bodies)]
    assert service.requests[-1].url.path == ("/v1/jobs" if "-y" in words else "/v1/quotes")


def test_the_file_of_a_secret_does_not_travel_with_the_folder(run, service, work):
    (work / "src").mkdir()
    (work / "src" / "api.key").write_text("hunter2")
    (work / "job.yaml").write_text("command: a\nfolder: src\nsecrets: [KEY@src/api.key]\n")
    refused = run("submit", "-y", **ZONE)
    assert (refused.exit_code, service.requests) == (2, [])
    assert refused.stderr.startswith("error SW-663: job.yaml:3: ")
    (work / "src" / ".sunwardignore").write_text("*.key\n")
    assert run("submit", "-y", **ZONE).exit_code == 0
    assert service.sent("POST", "/v1/jobs")["secrets"] == {"KEY": "hunter2"}
    assert not any(b"hunter2" in request.content for request in service.requests if request.method == "PUT")


def test_init_writes_a_file_that_submits_and_never_replaces_one(run, service, work):
    result = run("submit", "--init")
    assert result.exit_code == 0
    assert "job.yaml" in result.stdout
    assert run("submit", "--dry-run", **ZONE).exit_code == 0
    assert service.sent("POST", "/v1/quotes")["name"] == "finetune"
    (work / "job.yaml").write_text("mine")
    refused = run("submit", "--init")
    assert (refused.exit_code, refused.stderr.split(":")[0]) == (2, "error SW-666")
    assert (work / "job.yaml").read_text() == "mine", "what is there stays"
    assert json.loads(run("submit", "--init", "--file", "other.yaml", "--json").stdout) == {"file": "other.yaml"}


def test_a_quote_shows_what_waiting_longer_would_save(run, service):
    later = WaitingOption(
        finish_by_s=172_800, price_usd_micro=3_000_000, carbon_mg=150_000, start_ms=DAY + 30 * HOUR_MS
    )
    service.answers["POST /v1/quotes"] = [
        answer(replace(QUOTE, waiting=(later,))),
        answer(replace(REFUSED_QUOTE, waiting=(later,))),
    ]
    shown = run("submit", "--dry-run", "--zone", "DE", "--", "true").stdout
    assert "with a later deadline:" in shown
    assert "24 h 00 min    4.0200 USD  340.0 gCO2e  2023-06-12 09:00Z" in shown
    assert "48 h 00 min    3.0000 USD  150.0 gCO2e  2023-06-13 06:00Z" in shown
    refused = run("submit", "--dry-run", "--zone", "DE", "--", "true")
    assert refused.exit_code == 1
    assert "a later deadline would do:" in refused.stdout


def jobs_in_a_row(request):
    index = request.headers["Idempotency-Key"].rpartition("-")[2]
    return answer(Submitted(job=f"j-{index}", state="submitted", journal=HEAD), 201)


def test_a_sweep_is_one_quote_and_one_job_a_combination(run, service):
    service.answers["POST /v1/jobs"] = jobs_in_a_row
    words = ("--sweep", "lr=0.1,0.2", "--sweep", "seed=1,2", "--name", "s", "--key", "k1", "--zone", "DE")
    result = run("submit", "-y", *words, "--", "run", "{lr}", "{index}")
    assert result.exit_code == 0
    assert "16.0800 USD: 4 jobs at 4.0200 USD each" in result.stdout
    assert "4 jobs submitted, j-0 to j-3, with --key k1" in result.stdout
    sent = [json.loads(request.content) for request in service.requests if request.url.path == "/v1/jobs"]
    assert [each["name"] for each in sent] == ["s[0]", "s[1]", "s[2]", "s[3]"]
    assert [each["command"] for each in sent][2] == ["run", "0.2", "2"]
    assert sent[3]["env"] == {"lr": "0.2", "seed": "2", "SUNWARD_ARRAY_INDEX": "3", "SUNWARD_ARRAY_COUNT": "4"}
    keys = [request.headers["Idempotency-Key"] for request in service.requests[1:]]
    assert keys == ["k1-0", "k1-1", "k1-2", "k1-3"]
    assert len(service.requests) == 5
    told = json.loads(run("submit", "-y", "--json", *words, "--", "run").stdout)
    assert (told["key"], [each["job"] for each in told["jobs"]]) == ("k1", ["j-0", "j-1", "j-2", "j-3"])
    assert json.loads(run("submit", "--dry-run", "--json", *words, "--", "run").stdout)["count"] == 4


def test_an_array_that_was_cut_off_says_how_to_go_on(run, service):
    service.answers["POST /v1/jobs"] = [
        answer(Submitted(job="j-0", state="submitted", journal=HEAD), 201),
        problem(400, "SW-120", "the account does not hold the escrow"),
    ]
    result = run("submit", "-y", "--array", "3", "--zone", "DE", "--", "true")
    assert result.exit_code == 2
    assert "1 of 3 jobs were sent; the same command with --key " in result.stderr
    assert "error SW-120" in result.stderr


def test_following_an_array_ends_as_its_first_failure(run, service):
    service.answers["POST /v1/jobs"] = jobs_in_a_row
    for job, view in {"j-0": job_view("j-0", "finished"), "j-1": job_view("j-1", "failed", exit_code=7)}.items():
        service.answers[f"GET /v1/jobs/{job}/logs"] = log_part(b"", 0, final=True)
        service.answers[f"GET /v1/jobs/{job}"] = answer(view)
    assert run("submit", "-y", "-f", "--array", "2", "--zone", "DE", "--", "true").exit_code == 7


MALFORMED = {
    "empty": ("", "SW-660", 1),
    "a list": ("- command: x\n", "SW-660", 1),
    "prose": ("please run my job", "SW-660", 1),
    "an open bracket": ("command: [a\n", "SW-660", 2),
    "an open quote": ("command: 'a\n", "SW-660", 2),
    "a tab": ("\tcommand: a\n", "SW-660", 1),
    "bad indentation": ("command: a\n  hours: 2\n", "SW-660", 2),
    "a key twice": ("command: a\ncommand: b\n", "SW-660", 2),
    "an alias": ("command: &a x\nname: *a\n", "SW-660", 2),
    "a bomb": ("a: &a [x, x]\nb: &b [*a, *a]\n", "SW-660", 2),
    "a tag": ("command: !!python/object/apply:os.system [ls]\n", "SW-660", 1),
    "two documents": ("command: a\n---\ncommand: b\n", "SW-660", 2),
    "deep": ("env: " + "{a: " * 40 + "1" + "}" * 40, "SW-660", 1),
    "a control character": ("command: a\x00b\n", "SW-660", 1),
    "no text": (b"\xff\xfe\x00", "SW-660", 1),
    "a list for a key": ("? [a]\n: b\n", "SW-660", 1),
    "an unknown key": ("command: a\nhoures: 2\n", "SW-661", 2),
    "a key of elsewhere": ("command: a\nimage: ubuntu\n", "SW-661", 2),
    "an unknown part": ("command: a\ngpus:\n  cuont: 2\n", "SW-661", 3),
    "an unknown part of an input": ("command: a\ninputs:\n  - source: b\n    dest: c\n", "SW-661", 4),
    "no number": ("command: a\nhours: long\n", "SW-662", 2),
    "nothing": ("command: a\nhours:\n", "SW-662", 2),
    "half a GPU": ("command: a\ngpus: 0.5\n", "SW-662", 2),
    "no GPU": ("command: a\ngpus:\n  count: 0\n", "SW-662", 3),
    "a negative budget": ("command: a\nmax_cost: -3\n", "SW-662", 2),
    "an endless length": ("command: a\nhours: .inf\n", "SW-662", 2),
    "a clock time": ("command: a\nfinish_within: 12:00\n", "SW-662", 2),
    "an unknown policy": ("command: a\npolicy: cheap\n", "SW-662", 2),
    "an unknown class": ("command: a\nclass: video\n", "SW-662", 2),
    "a word for a list": ("command: a\ncountries: NO\n", "SW-662", 2),
    "a wrong item": ("command: a\ncountries:\n  - NO\n  - Norway\n", "SW-662", 4),
    "a secret's value": ("command: a\nsecrets:\n  - TOKEN=abc\n", "SW-662", 3),
    "a map of secrets": ("command: a\nsecrets: {TOKEN: abc}\n", "SW-662", 2),
    "a reserved variable": ("command: a\nenv:\n  SUNWARD_JOB: x\n", "SW-662", 2),
    "a path outside": ("command: a\ninputs:\n  - source: b\n    path: /etc/passwd\n", "SW-662", 4),
    "a pipe": ("name: x\ncommand: cat a | wc\n", "SW-662", 2),
    "array and sweep": ("command: a\narray: 2\nsweep: {b: [1]}\n", "SW-662", 2),
    "an array too large": ("command: a\narray: 2000\n", "SW-662", 2),
    "a checkpoint that counts nothing": ("command: a\ncheckpoint: true\n", "SW-662", 2),
    "no command": ("hours: 2\n", "SW-601", 0),
    "an empty command": ("command: []\n", "SW-601", 0),
    "an absent secret": ("command: a\nsecrets:\n  - A\n  - NOT_SET_ANYWHERE\n", "SW-663", 4),
    "an absent input": ("command: a\ninputs:\n  - source: gone\n", "SW-664", 3),
    "an absent setup": ("command: a\nsetup: gone.txt\n", "SW-664", 2),
    "an input without digest": ("command: a\ninputs:\n  - {source: https://x/y}\n", "SW-664", 3),
    "a sweep too large": (f"command: a\nsweep: {{a: {list(range(40))}, b: {list(range(40))}}}\n", "SW-665", 2),
    "an absent folder": ("command: a\nfolder: gone\n", "SW-614", 0),
}


@pytest.mark.parametrize(("text", "code", "line"), list(MALFORMED.values()), ids=list(MALFORMED))
def test_a_malformed_job_file_is_one_line_and_nothing_is_sent(run, service, work, text, code, line):
    (work / "job.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("submit", "-y", **ZONE, A="a")
    assert (result.exit_code, result.stdout) == (2, "")
    told = result.stderr.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"error {code}: " + (f"job.yaml:{line}: " if line else ""))
    assert service.requests == []
    assert "abc" not in told[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--gpus", "two"), "--gpus must be a whole number, not 'two'; for example --gpus 1"),
        (("--finish-within", "soon"), "--finish-within does not take 'soon'; for example --finish-within 24h"),
        (("--gpu-memory", "much"), "for example --gpu-memory 40"),
        (("--gpu-memory", "-1"), "--gpu-memory must be"),
        (("--hours", "0"), "--hours must be a number > 0.0, not '0'"),
        (("--country", "Norway"), "--country does not take 'Norway'"),
        (("--secret", "A=hunter2"), "--secret takes NAME or NAME@FILE"),
        (("--input", "ftp://x/y"), "--input: inputs come from a path here"),
        (("--sweep", "a=1", "--array", "2"), "--array: array and sweep exclude"),
        (("--max-cost", "much"), "--max-cost must be"),
    ],
)
def test_a_wrong_flag_is_named(run, service, words, told):
    result = run("submit", "-y", *words, "--", "true", **ZONE)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "hunter2" not in result.stderr
    assert service.requests == []


def test_a_flag_for_the_length_goes_before_the_file(run, service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text("command: python train.py\nlength: unknown\n")
    assert run("submit", "-y", "--zone", "DE", "--hours", "2").exit_code == 0
    assert (service.sent("POST", "/v1/jobs")["length_s"], service.sent("POST", "/v1/jobs")["length_kind"]) == (
        7_200,
        "known",
    )


def test_the_quote_of_an_unknown_length_tells_what_is_expected_and_promised(run, service):
    told = LengthOutlook(
        like_jobs=84,
        expected_s=4_200,
        upper_s=10_800,
        upper_usd_micro=4_000_000,
        promise_ppm=950_000,
        finish_by_ms=DAY + 18 * HOUR_MS,
        timeout_s=86_400,
    )
    service.answers["POST /v1/quotes"] = answer(replace(QUOTE, outlook=told))
    shown = run("submit", "--dry-run", "--zone", "DE", "--length", "unknown", "--", "python", "train.py").output
    for expected in ("1 h 10 min", "3 h 00 min in 95 of 100", "84 like it", "at least 0.95", "24 h 00 min of run time"):
        assert expected in " ".join(shown.split()), expected
