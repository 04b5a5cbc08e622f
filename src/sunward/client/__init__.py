"""The light client: all that a machine needs which only asks the service, on any system."""

from sunward.client._async.api import AsyncApiClient
from sunward.client._async.client import AsyncClient
from sunward.client._sync.api import ApiClient
from sunward.client._sync.client import Client
from sunward.client.answers import LogPart
from sunward.client.credentials import Access, Credentials
from sunward.client.wanted import JobFields

__all__ = ["Access", "ApiClient", "AsyncApiClient", "AsyncClient", "Client", "Credentials", "JobFields", "LogPart"]
