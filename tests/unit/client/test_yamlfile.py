import pytest

from sunward.client.yamlfile import read_yaml
from sunward.errors import InputError


def read(tmp_path, text):
    file = tmp_path / "job.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(file)


def test_every_scalar_is_the_text_as_written(tmp_path):
    text = "a: NO\nb: 3.10\nc: 0x10\nd: yes\ne: 12:30:00\nf: 2025-01-01\ng: '1'\nh:\ni: [1e-3, ~]\nj: {k: null}\n"
    assert read(tmp_path, text).values == {
        "a": "NO",
        "b": "3.10",
        "c": "0x10",
        "d": "yes",
        "e": "12:30:00",
        "f": "2025-01-01",
        "g": "1",
        "h": "",
        "i": ["1e-3", "~"],
        "j": {"k": "null"},
    }


def test_every_value_has_its_line(tmp_path):
    lines = read(tmp_path, "# note\na: 1\ngpus:\n  count: 2\nlist:\n  - x\n  - path: y\n").lines
    assert {path: lines[path] for path in ("a", "gpus", "gpus.count", "list[0]", "list[1].path")} == {
        "a": 2,
        "gpus": 3,
        "gpus.count": 4,
        "list[0]": 6,
        "list[1].path": 7,
    }


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "names with values"),
        ("- a\n", 1, "names with values"),
        ("just text", 1, "names with values"),
        ("a: 1\nb: [1, 2\n", 3, "expected"),
        ("a: 1\n  b: 2\n", 2, "mapping values"),
        ("a: 'open\n", 2, "while scanning a quoted scalar"),
        ("a: 1\nb: 2\na: 3\n", 3, "twice, first in line 1"),
        ("g:\n  x: 1\n  x: 2\n", 3, "twice, first in line 2"),
        ("a: &x 1\nb: *x\n", 2, "aliases"),
        ("a: 1\nb: !!python/object:os.system 1\n", 2, "tags"),
        ("a: !env HOME\n", 1, "tags"),
        ("? [a, b]\n: 1\n", 1, "must be a word"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: " + "[" * 50_000, 1, "nested too deep"),
        ("a: 1\nb: \a\n", 2, "does not allow"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        (b"#" * (1 << 20) + b"\na: 1", 1, "larger than 1 MiB"),
        ("\ta: 1", 1, "tab|token"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path, text, line, why):
    with pytest.raises(InputError, match=why) as refused:
        read(tmp_path, text)
    assert refused.value.code == "SW-660"
    assert refused.value.message.startswith(f"{tmp_path / 'job.yaml'}:{line}: ")
    assert "\n" not in refused.value.message
