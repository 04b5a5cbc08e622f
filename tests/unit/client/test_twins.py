"""The blocking client is what the tool makes of the asynchronous one."""

from tools.build_sync import blocking

from sunward.client import ApiClient, AsyncApiClient


def test_both_clients_offer_the_same():
    def offered(kind):
        return {name for name in vars(kind) if not name.startswith("_")}

    assert offered(AsyncApiClient) - {"aclose"} == offered(ApiClient) - {"close"}


def test_names_are_replaced_and_strings_are_not():
    source = (
        'async def f(x: AsyncIterator[int]) -> str:\n    """Await the asynchronous: `await f()`."""\n'
        "    async with x as y:\n        return await async_apart(y, [z async for z in x], 'await Async')\n"
    )
    assert blocking(source) == (
        'def f(x: Iterator[int]) -> str:\n    """Await the asynchronous: `f()`."""\n'
        "    with x as y:\n        return apart(y, [z for z in x], 'await Async')\n"
    )
