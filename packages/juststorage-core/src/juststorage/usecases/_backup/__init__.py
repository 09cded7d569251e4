"""Backups: a state and the blobs that it names, in blob stores of their own; docs/backup.md.

`_format` is what is written, `_target` where, `_manifests` which of them there are, `_transfer` how
bytes get from one store to another, `_unfinished` what is to be said of half a restore; the three
others are what is done.
"""

from juststorage.usecases._backup._create import BackupReport, CreateBackup
from juststorage.usecases._backup._format import FORMAT_VERSION, Manifest
from juststorage.usecases._backup._manifests import Manifests, UnreadableManifest
from juststorage.usecases._backup._restore import RestoreBackup, RestoreReport
from juststorage.usecases._backup._target import (
    BackupTarget,
    FixedPlaces,
    Place,
    Places,
    upload_id_of,
)
from juststorage.usecases._backup._transfer import Watcher
from juststorage.usecases._backup._unfinished import UnfinishedRestore, unfinished_restore
from juststorage.usecases._backup._verify import Damage, VerifyBackup

__all__ = [
    "FORMAT_VERSION",
    "BackupReport",
    "BackupTarget",
    "CreateBackup",
    "Damage",
    "FixedPlaces",
    "Manifest",
    "Manifests",
    "Place",
    "Places",
    "RestoreBackup",
    "RestoreReport",
    "UnfinishedRestore",
    "UnreadableManifest",
    "VerifyBackup",
    "Watcher",
    "unfinished_restore",
    "upload_id_of",
]
