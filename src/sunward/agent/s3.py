"""Objects of S3, asked for with the keys of the job that reads them, and by the way that every foreign address is.

botocore signs the request and does no more: it would otherwise bring the provider's own keys, settings and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

from sunward.adapters.web import check_address
from sunward.errors import InputError, SourceError
from sunward.model.wire import InputFile

REFUSED, NO_DRIVER, NO_RIGHT, NO_OBJECT = "SW-521", "SW-523", "SW-695", "SW-696"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
FIRST_REGION = "us-east-1"
REGION = re.compile(r"[a-z0-9-]{1,40}")
REGION_HEADER = "x-amz-bucket-region"
CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>")
ERROR_BYTES = 1 << 14
OF_THE_KEYS = frozenset({"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "TokenRefreshRequired"})
"""Said with 400 by some stores; with 403 it is the keys anyway."""
OF_THE_CLOCK = "RequestTimeTooSkewed"
OK, REDIRECT, BAD, FORBIDDEN, ABSENT, FAILED = 200, 300, 400, 403, 404, 500
BUSY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """As whom a job asks its store, and where that is."""

    key: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    endpoint: str
    """Of a store other than Amazon's; else empty."""
    region: str

    def address(self, url: str, region: str) -> str:
        """Where an `s3://bucket/key` lies; the key is taken as it stands."""
        base = self.endpoint.rstrip("/") or f"https://s3.{region}.amazonaws.com"
        return f"{base}/{quote(url.removeprefix('s3://'), safe='/~')}"

    def headers(self, address: str, region: str) -> dict[str, str]:
        """The signed headers of a request. Raises: InputError where this agent lacks the driver."""
        if not self.key:
            return {}
        try:
            # Here, for most agents never read an object that needs a signature.
            from botocore.auth import S3SigV4Auth  # noqa: PLC0415
            from botocore.awsrequest import AWSRequest  # noqa: PLC0415
            from botocore.credentials import Credentials  # noqa: PLC0415
        except ImportError:
            line = "this provider cannot read s3:// inputs with keys; it lacks the package sunward[s3]"
            raise InputError(line, code=NO_DRIVER) from None
        request = AWSRequest("GET", address)
        S3SigV4Auth(Credentials(self.key, self.secret, self.token or None), "s3", region).add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}


def account_of(env: Mapping[str, str], *, allow_private: bool) -> Account:
    """What the variables of a job say of its store. Raises: InputError for half a pair of keys, or a bad address."""
    key, secret = env.get("AWS_ACCESS_KEY_ID", ""), env.get("AWS_SECRET_ACCESS_KEY", "")
    if bool(key) != bool(secret):
        line = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; give both as secrets of the job, or neither"
        raise InputError(line, code=NO_RIGHT)
    endpoint = next((env[name] for name in ENDPOINTS if env.get(name)), "")
    if endpoint:
        check_address(endpoint, allow_private=allow_private, code=REFUSED)
    region = next((env[name] for name in REGIONS if env.get(name)), FIRST_REGION)
    if not REGION.fullmatch(region):
        raise InputError(f"{region[:40]!a} is no region of a store; write one such as eu-west-1", code=NO_RIGHT)
    token = env.get("AWS_SESSION_TOKEN", "")
    return Account(key=key, secret=secret, token=token, endpoint=endpoint, region=region)


@contextmanager
def opened(client: httpx.Client, one: InputFile, account: Account) -> Iterator[httpx.Response]:
    """The answer that holds an object; a bucket elsewhere is asked again where it says that it is.

    Raises: InputError for an object that is not there or not for these keys, SourceError when its store fails.
    """
    region = account.region
    for last in (False, True):
        address = account.address(one.url, region)
        headers = {**account.headers(address, region), "accept-encoding": "identity"}
        with client.stream("GET", address, headers=headers, follow_redirects=False) as response:
            told = response.headers.get(REGION_HEADER, "")
            if response.status_code < REDIRECT:
                yield response
                return
            if last or told in {"", region} or not REGION.fullmatch(told) or response.status_code == ABSENT:
                raise _fault(one, response.status_code, _code(response), anonymous=not account.key)
            region = told


def _code(response: httpx.Response) -> str:
    """The error by its name in the store's language; never its sentence, which may repeat a key."""
    raw = b""
    for chunk in response.iter_raw(ERROR_BYTES):
        raw += chunk
        if len(raw) >= ERROR_BYTES:
            break
    found = CODE.search(raw)
    return found.group(1).decode() if found else ""


def _fault(one: InputFile, status: int, code: str, *, anonymous: bool) -> InputError | SourceError:
    said = f"{status} {code}".strip()
    if code == OF_THE_CLOCK:
        return SourceError(f"its store answered {said}: the clock of this machine is wrong")
    if status == ABSENT:
        return InputError(f"input {one.path}: its store has no such object ({said})", code=NO_OBJECT)
    if status == FORBIDDEN or code in OF_THE_KEYS:
        if anonymous:
            line = "is not for everybody; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as secrets of the job"
        else:
            line = "is not for these keys, or not there; correct the keys among the job's secrets, or the address"
        return InputError(f"input {one.path} {line} ({said})", code=NO_RIGHT)
    if status >= FAILED or status < BAD or status in BUSY:
        return SourceError(f"its store answered {said}")
    return InputError(f"input {one.path}: its store answered {said}", code=NO_OBJECT)
