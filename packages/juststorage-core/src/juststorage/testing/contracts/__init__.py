"""The contracts as pytest classes. Their names do not start with Test: only subclasses run."""

from juststorage.testing.contracts._authenticator import AuthenticatorContract
from juststorage.testing.contracts._base import Contract
from juststorage.testing.contracts._blob_store import BlobStoreContract
from juststorage.testing.contracts._gc_policy import GCPolicyContract
from juststorage.testing.contracts._hasher import HasherContract
from juststorage.testing.contracts._metadata_store import MetadataStoreContract
from juststorage.testing.contracts._plugin import PluginContract

__all__ = [
    "AuthenticatorContract",
    "BlobStoreContract",
    "Contract",
    "GCPolicyContract",
    "HasherContract",
    "MetadataStoreContract",
    "PluginContract",
]
