"""An S3 server of the tests' own: a process on loopback that checks signatures, policies and conditions as S3 does."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

START_S = 120
REGION = "us-east-1"
STEPS_BEFORE_KEYS = 3
"""The first requests, which make the first keys, need none."""
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_names = itertools.count(1)


class S3Server:
    """A running server and keys that may do all; where it is open to all, any keys do."""

    def __init__(self, url: str, *, guarded: bool) -> None:
        self.url = url
        self.port = urlsplit(url).port or 0
        self._keys = {"AccessKeyId": "nobody", "SecretAccessKey": "nothing"}
        if guarded:
            iam = boto3.client("iam", **_access(url, self._keys))
            iam.create_user(UserName="tests")
            iam.put_user_policy(UserName="tests", PolicyName="all", PolicyDocument=json.dumps(ALL))
            self._keys = iam.create_access_key(UserName="tests")["AccessKey"]
        self.client: Any = boto3.client("s3", **_access(url, self._keys))

    @property
    def env(self) -> dict[str, str]:
        """The variables by which programs find it."""
        return {
            "AWS_ACCESS_KEY_ID": self._keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": self._keys["SecretAccessKey"],
            "AWS_ENDPOINT_URL": self.url,
        }

    def new_bucket(self) -> str:
        name = f"bucket-{next(_names)}"
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, key: str, body: bytes, **more: str) -> str:
        """Store an object; its address."""
        self.client.put_object(Bucket=bucket, Key=key, Body=body, **more)
        return f"s3://{bucket}/{key}"


@contextmanager
def running(port: int = 0, *, guarded: bool = True) -> Iterator[S3Server]:
    """A server with nothing in it."""
    steps = {"INITIAL_NO_AUTH_ACTION_COUNT": str(STEPS_BEFORE_KEYS)} if guarded else {}
    with tempfile.TemporaryDirectory(prefix="sunward-s3-") as folder:
        log = Path(folder) / "log"
        env = {**os.environ, **steps, "PYTHONWARNINGS": "ignore"}
        with log.open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "--port", str(port)], stdout=told, stderr=told, env=env
            )
        try:
            yield S3Server(_address(log, process), guarded=guarded)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running() as server:
        yield server


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        found = re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text(encoding="utf-8"))
        if found:
            return found.group(1)
        time.sleep(0.1)
    raise AssertionError(f"the S3 server did not start: {log.read_text(encoding='utf-8')[-500:]}")


def _access(url: str, keys: dict[str, str]) -> dict[str, str]:
    return {
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
    }
