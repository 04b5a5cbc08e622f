"""Answers the anchors that stand in the orders, at once: each nonce is signed with the key that signs the readings."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.identity import SiteId
from sunward.model.place import HELLO_BYTES, AnchorCall, EchoAnswer, EchoHello, EchoNonce, answer_bytes

WAIT_S = 1.0
"""For the next datagram of an anchor; then it is called again."""
CALLS = 3
REST_S = 5.0
"""Machine time between two tries of one that is still due."""
NONCES_MAX = 100
DATAGRAM_BYTES = 1_500


def answer_anchor(
    call: AnchorCall,
    site: SiteId,
    key: Ed25519PrivateKey,
    *,
    hold: Callable[[], object] = lambda: None,
) -> int:
    """Answer an anchor until it has enough; the nonces answered. `hold` is called before each answer.

    Raises: OSError when it cannot be reached, InputError for what is no anchor's word.
    """
    host, _, port = call.address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    public = key.public_key().public_bytes_raw().hex()
    hello = encode(EchoHello(site=site, key=public, padding="." * HELLO_BYTES))
    answered = 0
    with socket.socket(found[0], found[1], found[2]) as line:
        line.settimeout(WAIT_S)
        line.connect(found[4])
        for _ in range(CALLS):
            line.send(hello)
            while answered < NONCES_MAX:
                try:
                    told = decode(line.recv(DATAGRAM_BYTES), EchoNonce)
                except TimeoutError:
                    break
                if not told.nonce:
                    return answered
                answer = key.sign(answer_bytes(call.key, site, told.nonce)).hex()
                hold()
                line.send(encode(EchoAnswer(nonce=told.nonce, answer=answer)))
                answered += 1
    return answered


class Echo:
    """The anchors of one agent. `take` and `step` belong to the agent's loop; the waiting is done in a thread."""

    def __init__(self, site: SiteId, key: Ed25519PrivateKey, say: Callable[..., None]) -> None:
        self._site = site
        self._key = key
        self._say = say
        self._calls: tuple[AnchorCall, ...] = ()
        self._thread: threading.Thread | None = None
        self._rest_until_s = 0.0

    def take(self, calls: tuple[AnchorCall, ...]) -> None:
        """Take what stands in the orders now."""
        self._calls = calls

    def step(self) -> None:
        """Begin what can begin."""
        busy = self._thread is not None and self._thread.is_alive()
        if self._calls and not busy and time.monotonic() >= self._rest_until_s:
            self._rest_until_s = time.monotonic() + REST_S
            self._thread = threading.Thread(target=self._work, args=(self._calls,), daemon=True)
            self._thread.start()

    def _work(self, calls: tuple[AnchorCall, ...]) -> None:
        """Thread: one try of each."""
        for call in calls:
            try:
                answered = answer_anchor(call, self._site, self._key)
            except (OSError, InputError) as reason:
                self._say("problem", what=f"anchor {call.address}", reason=str(reason))
            else:
                self._say("anchor", address=call.address, answered=answered)
