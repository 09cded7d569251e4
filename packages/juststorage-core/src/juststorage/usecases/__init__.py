"""What JustStorage does, in terms of the ports: no framework, no driver, no file."""

from juststorage.usecases._audit import AuditLimits, AuditStore, Finding
from juststorage.usecases._backup import (
    BackupReport,
    BackupTarget,
    CreateBackup,
    Damage,
    FixedPlaces,
    Manifest,
    Manifests,
    Place,
    Places,
    RestoreBackup,
    RestoreReport,
    UnfinishedRestore,
    UnreadableManifest,
    VerifyBackup,
    Watcher,
    unfinished_restore,
    upload_id_of,
)
from juststorage.usecases._change import ChangeObject
from juststorage.usecases._collect import CollectGarbage
from juststorage.usecases._collection import CollectionLimits, CollectionReport
from juststorage.usecases._copy import CopyObject, CopyTarget
from juststorage.usecases._copying import BlobCopier
from juststorage.usecases._cursor import CursorCodec
from juststorage.usecases._delete import Deleted, DeleteObject
from juststorage.usecases._download import DownloadObject, ReadDamage
from juststorage.usecases._find import FindObject
from juststorage.usecases._list import Listing, ListObjects
from juststorage.usecases._manage_keys import (
    ApiKeyListing,
    IssuedApiKey,
    ManageApiKeys,
    NewApiKey,
)
from juststorage.usecases._measure import MeasureUsage
from juststorage.usecases._receive import UploadLimits
from juststorage.usecases._resume_upload import ResumeUpload, UploadProgress
from juststorage.usecases._upload import UploadObject
from juststorage.usecases._upload_ticket import TicketCodec, UploadTicket
from juststorage.usecases._verified import VerifiedContents

__all__ = [
    "ApiKeyListing",
    "AuditLimits",
    "AuditStore",
    "BackupReport",
    "BackupTarget",
    "BlobCopier",
    "ChangeObject",
    "CollectGarbage",
    "CollectionLimits",
    "CollectionReport",
    "CopyObject",
    "CopyTarget",
    "CreateBackup",
    "CursorCodec",
    "Damage",
    "DeleteObject",
    "Deleted",
    "DownloadObject",
    "FindObject",
    "Finding",
    "FixedPlaces",
    "IssuedApiKey",
    "ListObjects",
    "Listing",
    "ManageApiKeys",
    "Manifest",
    "Manifests",
    "MeasureUsage",
    "NewApiKey",
    "Place",
    "Places",
    "ReadDamage",
    "RestoreBackup",
    "RestoreReport",
    "ResumeUpload",
    "TicketCodec",
    "UnfinishedRestore",
    "UnreadableManifest",
    "UploadLimits",
    "UploadObject",
    "UploadProgress",
    "UploadTicket",
    "VerifiedContents",
    "VerifyBackup",
    "Watcher",
    "unfinished_restore",
    "upload_id_of",
]
